//! Amounts for people.

/// A duration: `85 ms`, `3.2 s`, `2 min 05 s`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.95 => format!("{s:.1} s"),
        s => format!("{} min {:02.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
    }
}

/// An amount of memory, in binary units.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (count.max(1).ilog2() / 10).min(4) as usize;
    let value = count as f64 / 1024f64.powi(power as i32);
    if power == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[power]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let shown: Vec<String> = [0.0853, 3.21, 125.4].into_iter().map(duration).collect();
        assert_eq!(shown, ["85 ms", "3.2 s", "2 min 05 s"]);
    }

    #[test]
    fn amounts_of_memory_read_well() {
        let shown: Vec<String> = [0, 1023, 1024, 7_060_000_000].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "6.6 GiB"]);
    }
}
