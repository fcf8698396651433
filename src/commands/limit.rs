//! Durations on the command line: `600`, `90s`, `10m`, `1h 30m`, `never`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time after which something happens; `None` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        // A bare number is seconds.
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let duration = seconds.or_else(|| humantime::parse_duration(text).ok());
        duration.map(|duration| Self(Some(duration))).ok_or_else(|| {
            "expected seconds (`600`), a duration (`90s`, `10m`, `1h 30m`) or `never`".to_string()
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => humantime::format_duration(duration).fmt(f),
            None => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_read_well() {
        let read = |text: &str| text.parse::<Limit>().map(|limit| limit.to_string());
        let good =
            ["600", "10m", "1h 30m", "1h30m", "0.5", "90s", "never", "0"].map(|text| read(text).unwrap());
        assert_eq!(good, ["10m", "10m", "1h 30m", "1h 30m", "500ms", "1m 30s", "never", "0s"]);
        for bad in ["", "-1", "ten", "10 parsecs", "nan", "inf", "1e40"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
