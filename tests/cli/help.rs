//! Help texts, and what wrong usage answers.

use crate::support::Home;

#[test]
fn help_of_every_command() {
    let home = Home::new();
    for command in ["", "clone", "edit", "transcribe", "gpu", "serve", "doctor", "completions"] {
        let args: Vec<&str> = [command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        insta::assert_snapshot!(format!("help {command}").trim(), home.run(&args).succeeded().transcript());
    }
}

#[test]
fn wrong_usage() {
    let home = Home::new();
    for (name, args) in [
        ("an unknown command", &["clown", "x"][..]),
        ("an unknown device", &["doctor", "--device", "gpu"]),
        ("an unknown dtype", &["doctor", "--dtype", "q5"]),
        ("a missing output", &["clone", "hello", "--voice", "a.wav"]),
    ] {
        let ran = home.run(args);
        assert_eq!(ran.code, 2, "{}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
}

#[test]
fn a_bad_configuration_file_is_refused() {
    let home = Home::new();
    let folder = home.path(".config/stepaudio");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "devise = \"cpu\"\n").unwrap();
    insta::assert_snapshot!(home.run(&["doctor"]).transcript());
}
