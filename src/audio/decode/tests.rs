//! Decoding of every format, damage included.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;
use std::f64::consts::TAU;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/audio").join(name)
}

/// A WAV header for `bytes` bytes of data; `extensible` wraps the same format in the newer form.
fn header(float: bool, bits: u16, channels: u16, rate: u32, bytes: u32, extensible: bool) -> Vec<u8> {
    let tag = if float { 3u16 } else { 1 };
    let frame = channels * bits / 8;
    let mut format = Vec::new();
    format.extend(if extensible { 0xfffeu16 } else { tag }.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend((rate * u32::from(frame)).to_le_bytes());
    format.extend(frame.to_le_bytes());
    format.extend(bits.to_le_bytes());
    if extensible {
        format.extend(22u16.to_le_bytes());
        format.extend(bits.to_le_bytes());
        format.extend(((1u32 << channels) - 1).to_le_bytes());
        format.extend(tag.to_le_bytes());
        format.extend(b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71");
    }
    let mut file = b"RIFF".to_vec();
    file.extend((20 + format.len() as u32).saturating_add(bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend((format.len() as u32).to_le_bytes());
    file.extend(format);
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file
}

fn wav(float: bool, bits: u16, channels: u16, data: &[u8]) -> Vec<u8> {
    let mut file = header(float, bits, channels, 16_000, data.len() as u32, false);
    file.extend(data);
    file
}

fn floats(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    wav(true, 32, 1, &data)
}

fn tone(rate: f64, samples: usize) -> impl Iterator<Item = f64> {
    (0..samples).map(move |i| (TAU * 440.0 * i as f64 / rate).sin())
}

#[test]
fn integers_become_floats_by_full_scale() {
    let cases: [(bool, u16, &[u8], [f32; 2]); 6] = [
        (false, 8, &[0, 192], [-1.0, 0.5]),
        (false, 16, &[0, 0x80, 0, 0x40], [-1.0, 0.5]),
        (false, 24, &[0, 0, 0x80, 1, 0, 0x40], [-1.0, 4_194_305.0 / 8_388_608.0]),
        // 2^30 + 65 lies between two floats.
        (false, 32, &[0, 0, 0, 0x80, 65, 0, 0, 0x40], [-1.0, 0.500_000_06]),
        (true, 32, &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0xbf], [1.5, -0.5]),
        (true, 64, &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0xe0, 0xbf], [1.5, -0.5]),
    ];
    for (float, bits, data, expected) in cases {
        let clip = read(wav(float, bits, 1, data)).unwrap();
        assert_eq!(clip.channels, [expected], "{bits} bits");
        assert_eq!((clip.sample_rate, clip.warning), (16_000, None));
        let mut extensible = header(float, bits, 1, 16_000, data.len() as u32, true);
        extensible.extend(data);
        assert_eq!(read(extensible).unwrap().channels, [expected], "extensible {bits} bits");
    }
}

#[test]
fn channels_are_averaged() {
    let clip = read(wav(false, 8, 2, &[128, 192, 0, 128])).unwrap();
    assert_eq!(clip.channels, [[0.0, -1.0], [0.5, 0.0]]);
    assert_eq!(clip.mono().samples, [0.25, -0.5]);
    let clip = read(wav(false, 8, 3, &[128, 192, 0])).unwrap();
    assert_eq!(clip.mono().samples, [(0.0 + 0.5 - 1.0) / 3.0]);
}

#[test]
fn compressed_tones_are_read_with_their_delay_removed() {
    for (name, rate, peak, tolerance) in [
        ("tone.mp3", 24_000, 0.314, 0.02),
        ("tone.ogg", 44_100, 0.222, 0.02),
        ("tone-alac.m4a", 16_000, 0.314, 0.001),
    ] {
        let clip = open(&data(name)).unwrap();
        assert_eq!((clip.sample_rate, clip.warning.as_deref()), (rate, None), "{name}");
        let samples = clip.mono().samples;
        let length = rate as usize * 3 / 10;
        assert!(samples.len().abs_diff(length) <= 512, "{name}: {}", samples.len());
        let inner = tone(f64::from(rate), length).zip(&samples).skip(1000).take(length - 3000);
        let error = inner.map(|(a, &b)| (peak * a - f64::from(b)).abs()).fold(0.0, f64::max);
        assert!(error < tolerance, "{name}: {error}");
    }
}

#[test]
fn compressed_tones_of_unknown_delay_are_read_whole() {
    for name in ["tone.m4a", "tone.aac", "tone-untagged.mp3"] {
        let clip = open(&data(name)).unwrap();
        assert_eq!((clip.sample_rate, clip.warning.as_deref()), (24_000, None), "{name}");
        let samples = clip.mono().samples;
        assert!((7200..10_000).contains(&samples.len()), "{name}: {}", samples.len());
        let peak = samples[2000..6000].iter().fold(0.0, |peak: f32, x| peak.max(x.abs()));
        assert!((peak - 0.314).abs() < 0.02, "{name}: {peak}");
    }
}

#[test]
fn what_is_not_sound_is_refused_with_help() {
    for (name, why) in [
        ("tone.opus", "Opus"),
        ("silent-film.mp4", "no sound track"),
        ("README.md", "none of the known formats"),
    ] {
        let error = open(&data(name)).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert!(error.message.contains(name), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.hint.unwrap().contains("ffmpeg"));
    }
    let folder = open(&data("")).unwrap_err();
    assert!(folder.message.contains("folder"), "{folder}");
    let absent = open(&data("absent.wav")).unwrap_err();
    assert!(absent.message.contains("absent.wav"), "{absent}");
}

#[test]
fn emptiness_is_refused() {
    for bytes in [vec![], vec![0; 4], vec![0; 5000], wav(false, 16, 1, &[])] {
        let error = read(bytes).unwrap_err();
        assert_eq!(error.kind, Kind::Input);
        assert!(error.hint.is_some());
    }
}

#[test]
fn silence_and_ten_milliseconds_are_read() {
    for samples in [vec![0.0; 16_000], vec![0.25; 160]] {
        assert_eq!(read(floats(&samples)).unwrap().channels, [samples]);
    }
}

#[test]
fn values_that_are_no_numbers_are_refused_with_their_place() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut samples = vec![0.0; 16_000];
        samples[8000] = value;
        let error = read(floats(&samples)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("0.500 s"), "{error}");
    }
}

#[test]
fn impossible_rates_are_refused() {
    for rate in [0, 10, 4_000_000_000] {
        let mut file = header(false, 8, 1, rate, 4, false);
        file.extend([128; 4]);
        assert_eq!(read(file).unwrap_err().kind, Kind::Input);
    }
}

#[test]
fn a_missing_end_is_a_warning() {
    let whole = floats(&vec![0.5; 16_000]);
    let clip = read(whole[..whole.len() / 2].to_vec()).unwrap();
    assert!(clip.frames().abs_diff(8000) < 20);
    assert!(clip.warning.unwrap().contains("of 1.000 s"));
    let mp3 = fs::read(data("tone.mp3")).unwrap();
    let clip = read(mp3[..mp3.len() * 2 / 3].to_vec()).unwrap();
    assert!(clip.frames() > 3000);
    assert!(clip.warning.unwrap().contains("of 0.300 s"));
}

#[test]
fn damage_in_the_middle_is_a_warning() {
    let mut mp3 = fs::read(data("tone.mp3")).unwrap();
    let middle = mp3.len() / 2;
    mp3[middle..middle + 600].fill(0x55);
    let clip = read(mp3).unwrap();
    assert!(clip.frames() > 3000);
    assert!(clip.warning.unwrap().contains("of 0.300 s"));
}

#[test]
fn sizes_of_streaming_programs_are_unknown() {
    for bytes in [u32::MAX, 0x7fff_f000] {
        let mut file = header(false, 16, 1, 16_000, bytes, false);
        file.extend([0; 3200]);
        let clip = read_pipe(file.as_slice()).unwrap();
        assert_eq!((clip.frames(), clip.warning), (1600, None));
    }
}

#[cfg(unix)]
#[test]
fn a_path_can_be_a_pipe() {
    let (reader, mut writer) = io::pipe().unwrap();
    let thread = std::thread::spawn(move || writer.write_all(&floats(&vec![0.5; 50_000])));
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    assert_eq!(open(Path::new(&path)).unwrap().frames(), 50_000);
    thread.join().unwrap().unwrap();
}

#[test]
fn an_hour_is_read() {
    const RATE: u32 = 8000;
    let frames = RATE * 3600;
    let mut file = header(false, 8, 1, RATE, frames, false);
    file.resize(file.len() + frames as usize, 192);
    let clip = read(file).unwrap();
    assert_eq!((clip.frames(), clip.channels[0][28_799_999]), (28_800_000, 0.5));
    assert!((clip.mono().seconds() - 3600.0).abs() < f64::EPSILON);
}

#[test]
fn a_header_that_the_decoder_cannot_bear_is_an_error() {
    let mut file = wav(false, 32, 1, &[0; 64]);
    file[22..24].copy_from_slice(&0x8002u16.to_le_bytes());
    assert_eq!(read(file).unwrap_err().kind, Kind::Input);
}

/// Damaged bytes give samples or an input error.
fn survives(bytes: Vec<u8>) -> std::result::Result<(), TestCaseError> {
    match read(bytes) {
        Ok(clip) => {
            prop_assert!(clip.frames() > 0);
            let whole = |channel: &Vec<f32>| channel.len() == clip.frames();
            prop_assert!(clip.channels.iter().all(whole));
            prop_assert!(clip.channels.iter().flatten().all(|x| x.is_finite()));
        }
        Err(error) => prop_assert_eq!(error.kind, Kind::Input),
    }
    Ok(())
}

fn files() -> Vec<Vec<u8>> {
    let mut flac = Vec::new();
    let samples = tone(16_000.0, 2000).map(|x| x as f32).collect();
    let audio = Audio { samples, sample_rate: 16_000 };
    crate::audio::encode::flac(&mut flac, &audio).unwrap();
    let stereo = wav(false, 24, 2, &[7; 600]);
    let names = ["tone.mp3", "tone-untagged.mp3", "tone.ogg", "tone.m4a", "tone.aac", "tone-alac.m4a"];
    let stored = names.iter().map(|name| fs::read(data(name)).unwrap());
    [flac, stereo, floats(&audio.samples)].into_iter().chain(stored).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_never_breaks_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        survives(bytes)?;
    }

    #[test]
    fn truncation_never_breaks_the_decoder(part in 0.0f64..1.0) {
        for mut file in files() {
            file.truncate((file.len() as f64 * part) as usize);
            survives(file)?;
        }
    }

    #[test]
    fn flipped_bits_never_break_the_decoder(flips in prop::collection::vec((0.0f64..1.0, 0u8..8), 1..20)) {
        for mut file in files() {
            let length = file.len() as f64;
            for (place, bit) in &flips {
                // Headers are small, so every other flip goes to the first bytes.
                let place = if bit % 2 == 0 { place * place * place } else { *place };
                file[(length * place) as usize] ^= 1 << bit;
            }
            survives(file)?;
        }
    }
}
