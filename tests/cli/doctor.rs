//! `stepaudio doctor`.

use crate::support::{Home, miniature};
use std::fs;

#[test]
fn a_complete_checkpoint() {
    let ran = Home::new().run(&["doctor", "--json"]).succeeded();
    let found: serde_json::Value = serde_json::from_str(&ran.text()).unwrap();
    assert_eq!(found["complete"], true);
    assert_eq!(found["device"], "cpu");
    assert!(found["files"].as_array().unwrap().len() >= 12);
    assert!(found["memory_total"].as_u64().unwrap() > 0);
}

#[test]
fn all_missing_files_are_listed_at_once() {
    let home = Home::new();
    let models = home.path("models/Step-Audio-EditX");
    fs::create_dir_all(&models).unwrap();
    fs::copy(miniature().join("Step-Audio-EditX/config.json"), models.join("config.json")).unwrap();
    let models = home.path("models");
    let ran = home.run(&["doctor", "--models", models.to_str().unwrap()]);
    assert_eq!(ran.code, 4, "{}", ran.transcript());
    for file in
        ["tokenizer.model", "flow.pt", "hift.pt", "campplus.onnx", "speech_tokenizer_v1.onnx", "am.mvn"]
    {
        assert!(ran.stderr.contains(file), "`{file}` is not in {}", ran.stderr);
    }
}

#[test]
fn golden_cases_of_one_stage() {
    let home = Home::new();
    let golden = miniature().with_file_name("golden");
    let ran =
        home.run(&["doctor", "--golden", golden.to_str().unwrap(), "--stage", "text", "--json"]).succeeded();
    let rows: Vec<serde_json::Value> = ran.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows.len() > 50 && rows.iter().all(|row| row["status"] != "failed"));
}

#[test]
fn a_wrong_value_fails_with_its_own_exit_code() {
    let home = Home::new();
    let golden = home.path("golden/language");
    fs::create_dir_all(&golden).unwrap();
    let from = miniature().with_file_name("golden").join("language");
    fs::copy(from.join("prompts.json"), golden.join("prompts.json")).unwrap();
    let text = fs::read_to_string(from.join("alibi.json")).unwrap();
    let wrong = text.replacen("0.7071067", "0.7171067", 1);
    assert_ne!(text, wrong);
    fs::write(golden.join("alibi.json"), wrong).unwrap();
    let ran = home.run(&["doctor", "--golden", "golden", "--stage", "step1"]);
    assert_eq!(ran.code, 6, "{}", ran.transcript());
    assert!(ran.text().contains('✗'), "{}", ran.transcript());
}
