//! Tests on a small vocoder with random weights.

use super::testing::{random, vocoder_of, weights};
use super::*;

const BANDS: usize = 6;

fn vocoder() -> Vocoder {
    testing::vocoder(BANDS)
}

fn mel(frames: usize) -> Tensor {
    random(&[1, frames, BANDS], 1.)
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0., f32::max)
}

#[test]
fn pieces_with_context_equal_the_whole() {
    let vocoder = vocoder();
    let mel = mel(101);
    let noise: Vec<f32> = random(&[5003], 1.).to_vec1().unwrap();
    let source = vocoder.source(&vocoder.f0(&mel).unwrap(), &mut table(&noise));
    let spectrum = vocoder.source_spectrum(&source).unwrap();
    let rows = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let whole = rows(vocoder.filter(&mel, &spectrum, &mut |_, _| ()).unwrap());
    for piece in [1, 16, 33] {
        let pieces = vocoder.generator.forward_in_pieces(&mel, &spectrum, piece).unwrap();
        let worst = largest_difference(&rows(pieces), &whole);
        assert!(worst < 1e-5, "{piece} frames at once: {worst}");
    }
}

/// The first and last row that are no numbers.
fn spoilt(rows: &Tensor) -> (usize, usize) {
    let rows: Vec<Vec<f32>> = rows.squeeze(0).unwrap().to_vec2().unwrap();
    let spoilt = |row: &Vec<f32>| row.iter().any(|x| x.is_nan());
    (rows.iter().position(spoilt).unwrap(), rows.iter().rposition(spoilt).unwrap())
}

#[test]
fn what_is_beyond_the_context_changes_nothing() {
    let vocoder = vocoder();
    let (frames, context) = (81, vocoder.generator.context());
    let spectrum = vocoder.source_spectrum(&vec![0.; frames * vocoder.frame_samples()]).unwrap();
    let spoil = |x: &Tensor, at: usize| {
        let (_, rows, width) = x.dims3().unwrap();
        let mark = |row| if row == at { f32::NAN } else { 0. };
        let mark = Tensor::from_iter((0..rows).map(mark), &Device::Cpu).unwrap();
        let mark = mark.reshape((1, rows, 1)).unwrap().broadcast_as((1, rows, width)).unwrap();
        (x + mark).unwrap()
    };
    let filter =
        |mel: &Tensor, spectrum: &Tensor| spoilt(&vocoder.filter(mel, spectrum, &mut |_, _| ()).unwrap());
    let mel = mel(frames);
    for (first, last) in [filter(&spoil(&mel, 40), &spectrum), filter(&mel, &spoil(&spectrum, 40 * 120 + 60))]
    {
        assert!(first >= (40 - context) * 120 && last < (41 + context) * 120, "{first} to {last}, {context}");
    }
    let (first, last) = filter(&spoil(&mel, 40), &spectrum);
    assert!(first < (42 - context) * 120 && last >= (39 + context) * 120, "{context} is more than needed");
}

#[test]
fn any_number_of_frames_gives_whole_frames_of_samples() {
    let vocoder = vocoder();
    for frames in [0, 1, 2, 7] {
        let samples = vocoder.synthesize(&mel(frames), &mut silence).unwrap();
        assert_eq!(samples.len(), frames * vocoder.frame_samples());
        assert!(samples.iter().all(|x| x.abs() <= 0.99));
    }
}

#[test]
fn the_same_noise_gives_the_same_samples() {
    use rand::SeedableRng;
    let vocoder = vocoder();
    let mel = mel(9);
    let run = |seed| {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        vocoder.synthesize(&mel, &mut gaussian(&mut rng)).unwrap()
    };
    assert_eq!(run(1), run(1));
    assert!(largest_difference(&run(1), &run(2)) > 0.);
}

#[test]
fn phases_stay_exact_over_long_speech() {
    let vocoder = vocoder();
    let (frames, f0) = (6000, 440.3f32);
    let sines = vocoder.sines(&vec![f0; frames]);
    let start = vocoder.frame_samples() / 2;
    let cycles = |i: usize, h: usize| {
        let step = (f64::from(f0) * h as f64 / 24_000.).fract();
        // The first frame's phase stands still until its middle, where it already is a whole frame on.
        step * (480. + i as f64 + 0.5 - start as f64)
    };
    for i in [start, 30_000, 2_879_000] {
        for h in 1..=9 {
            let expected = (cycles(i, h).fract() * std::f64::consts::TAU).sin() as f32;
            let found = sines[i * 9 + h - 1];
            assert!((found - expected).abs() < 1e-5, "sample {i}, harmonic {h}: {found}, {expected}");
        }
    }
}

#[test]
fn unvoiced_frames_carry_noise_only() {
    let vocoder = vocoder();
    let flat = vocoder.source(&[10., 0.], &mut silence);
    assert!(flat.iter().all(|&x| x.to_bits() == flat[0].to_bits()), "the threshold itself is unvoiced");
    assert!(largest_difference(&vocoder.source(&[10.1, 0.], &mut silence), &flat) > 0.);
    assert!(largest_difference(&vocoder.source(&[0., 0.], &mut table(&[1., -2.])), &flat) > 0.);
}

#[test]
fn a_table_starts_anew_in_every_excitation() {
    let values = [1., 2., 3.];
    let mut noise = table(&values);
    for _ in 0..2 {
        let mut draws = [0.; 5];
        noise(&mut draws);
        assert!(largest_difference(&draws, &[1., 2., 3., 1., 2.]) == 0.);
    }
    let mut draws = [7.; 2];
    table(&[])(&mut draws);
    assert!(largest_difference(&draws, &[0., 0.]) == 0.);
}

#[test]
fn a_stream_gives_as_many_samples_as_the_whole() {
    let vocoder = vocoder();
    let samples = vocoder.frame_samples();
    let mut stream = VocoderStream::new(&vocoder, CACHED_FRAMES);
    let mut push = |frames, last| stream.push(&mel(frames), last, &mut silence).unwrap().len() / samples;
    assert_eq!(push(30, false), 22, "eight frames are held back");
    assert_eq!(push(48, false), 48);
    assert_eq!(push(1, false), 1);
    assert_eq!(push(4, true), 12, "what was held back comes with the last piece");
    assert_eq!(push(5, true), 5, "a finished stream starts anew");
}

#[test]
fn a_first_piece_shorter_than_the_cache_is_held_back_whole() {
    let vocoder = vocoder();
    let samples = vocoder.frame_samples();
    let mut stream = VocoderStream::new(&vocoder, CACHED_FRAMES);
    for (frames, given) in [(3, 0), (2, 0), (9, 6)] {
        let piece = stream.push(&mel(frames), false, &mut silence).unwrap();
        assert_eq!(piece.len(), given * samples);
    }
    assert_eq!(stream.finish().len(), 8 * samples);
    assert!(stream.finish().is_empty());
}

#[test]
fn the_start_of_a_stream_equals_the_whole_until_its_tail() {
    let vocoder = vocoder();
    let mel = mel(60);
    let whole = vocoder.synthesize(&mel, &mut silence).unwrap();
    let mut stream = VocoderStream::new(&vocoder, CACHED_FRAMES);
    let first = stream.push(&mel.narrow(1, 0, 40).unwrap(), false, &mut silence).unwrap();
    let far = 16 * vocoder.frame_samples();
    assert!(largest_difference(&first[..far], &whole[..far]) < 1e-4);
}

#[test]
fn the_halves_of_the_window_add_up_to_1_08() {
    let window = cross_fade_window(7680);
    assert!((window[0] - 0.08).abs() < 1e-6 && (window[7679] - 0.08).abs() < 1e-6);
    let sums = (0..3840).map(|i| window[i] + window[3840 + i]);
    assert!(sums.into_iter().all(|sum| (sum - 1.08).abs() < 1e-3));
    assert_eq!(cross_fade_window(1).len(), 1);
}

#[test]
fn a_configuration_and_weights_that_disagree_are_refused() {
    let rates = Config { upsample_rates: vec![8, 5], ..Config::default() };
    assert!(vocoder_of(&rates, weights(BANDS)).is_err());
    let dilations = Config { source_resblock_dilation_sizes: vec![vec![1]], ..Config::default() };
    assert!(vocoder_of(&dilations, weights(BANDS)).is_err());
    let mut incomplete = weights(BANDS);
    incomplete.remove("resblocks.4.convs2.1.weight");
    assert!(vocoder_of(&Config::default(), incomplete).is_err());
    let spectrum = vocoder().source_spectrum(&[0.; 480 * 3]).unwrap();
    assert!(vocoder().filter(&mel(4), &spectrum, &mut |_, _| ()).is_err());
    assert!(vocoder().synthesize(&random(&[1, 4, BANDS + 1], 1.), &mut silence).is_err());
}

#[test]
fn a_partial_configuration_is_completed_with_the_published_values() {
    let value =
        serde_json::json!({"upsample_rates": [4, 4], "istft_params": {"hop_len": 2}, "base_channels": 32});
    let config: Config = serde_json::from_value(value).unwrap();
    assert_eq!((config.frame_samples(), config.istft_params.n_fft), (32, 16));
    assert!((config.audio_limit - 0.99).abs() < 1e-9);
}
