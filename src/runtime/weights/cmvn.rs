//! Kaldi mean and variance statistics (`am.mvn`).
//!
//! Format as read by modelscope/FunASR `funasr/frontends/wav_frontend.py` (`load_cmvn`).

use super::unreadable;
use crate::error::Result;
use crate::models::linguistic::Cmvn;
use std::fs;
use std::path::Path;

/// Reads the shift and the scale of each feature from `path`.
pub fn read(path: &Path) -> Result<Cmvn> {
    let bytes = fs::read(path).map_err(|e| unreadable(path, e))?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text)
        .map_err(|why| unreadable(path, why).hint("the file is damaged or incomplete: download it again"))
}

fn parse(text: &str) -> Result<Cmvn, String> {
    let shift = vector(text, "<AddShift>")?;
    let scale = vector(text, "<Rescale>")?;
    if shift.len() != scale.len() || shift.is_empty() {
        return Err(format!("{} shifts, but {} scales", shift.len(), scale.len()));
    }
    Ok(Cmvn { shift, scale })
}

/// The numbers of `<LearnRateCoef> 0 [ ... ]` in the line after the one with `component`.
fn vector(text: &str, component: &str) -> Result<Vec<f32>, String> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(component));
    let head = lines.next().ok_or_else(|| format!("`{component}` is missing"))?;
    let tokens: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let [_, _, "[", numbers @ .., "]"] = tokens.as_slice() else {
        return Err(format!("the numbers of `{component}` are cut off"));
    };
    let stated: Option<usize> = head.split_whitespace().nth(1).and_then(|count| count.parse().ok());
    if stated.is_some_and(|stated| stated != numbers.len()) {
        let found = numbers.len();
        return Err(format!("`{component}` states {} numbers, found {found}", stated.unwrap_or(0)));
    }
    let number = |token: &&str| token.parse().ok().filter(|value: &f32| value.is_finite());
    let one = |token| number(token).ok_or_else(|| format!("`{token}` in `{component}` is not a number"));
    numbers.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::{Checkpoint, File, damage};
    use proptest::prelude::*;

    fn miniature() -> String {
        let checkpoint = Checkpoint::open(&damage::miniature()).unwrap();
        fs::read_to_string(checkpoint.path(File::LinguisticMvn).unwrap()).unwrap()
    }

    #[test]
    fn reads_shift_and_scale() {
        let cmvn = parse(&miniature()).unwrap();
        assert_eq!((cmvn.shift.len(), cmvn.scale.len()), (560, 560));
        let small = "<Nnet>\n<AddShift> 2 2\n<LearnRateCoef> 0 [ -1.5 2e0 ]\n<Rescale> 2 2\n<LearnRateCoef> 0 [ 1 3 ]\n";
        let expected = Cmvn { shift: vec![-1.5, 2.0], scale: vec![1.0, 3.0] };
        assert_eq!(parse(small).unwrap(), expected);
        for (from, to) in [
            (" ]\n<R", "\n<R"),
            ("<Rescale>", "<Other>"),
            ("1 3", "1"),
            ("2e0", "nan"),
            ("Shift> 2", "Shift> 3"),
        ] {
            assert!(parse(&small.replacen(from, to, 1)).is_err(), "{from}");
        }
    }

    proptest! {
        #[test]
        fn survives_damage(flips in damage::flips(), keep in any::<prop::sample::Index>()) {
            let mut bytes = damage::flip(miniature().as_bytes(), &flips);
            bytes.truncate(keep.index(bytes.len() * 2));
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
