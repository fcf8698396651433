//! Telling what a file is from its first bytes, for errors about swapped or half-downloaded files.

/// What `bytes` look like, in words that complete "it is ...".
pub(super) fn describe(bytes: &[u8]) -> &'static str {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        "a zip archive, as PyTorch writes"
    } else if starts(b"\x93NUMPY") {
        "a NumPy array"
    } else if starts(b"version https://git-lfs") {
        "a Git LFS pointer instead of the file itself"
    } else if starts(b"<!DOCTYPE") || starts(b"<!doctype") || starts(b"<html") {
        "a web page"
    } else if starts(b"GGUF") {
        "a GGUF file"
    } else if starts(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46") {
        "a PyTorch file in the format used before version 1.6"
    } else if starts(b"\x80") {
        "a Python pickle"
    } else if bytes.len() > 9 && bytes[8] == b'{' && bytes[..8].iter().rev().take(3).all(|&b| b == 0) {
        "a SafeTensors file"
    } else if starts(b"\x08") && bytes.get(2) == Some(&0x12) {
        "an ONNX model"
    } else if bytes.iter().all(|&b| b == 0) {
        "filled with zeros"
    } else {
        "something else"
    }
}

/// What to do about a file that looks like `bytes`.
pub(super) fn remedy(bytes: &[u8]) -> &'static str {
    let found = describe(bytes);
    if found.contains("Git LFS") {
        "run `git lfs pull` in the folder, or download the file itself"
    } else if found.contains("1.6") {
        "load the file with PyTorch and save it again with `torch.save`"
    } else if found == "something else" || found.contains("zeros") || found.contains("web page") {
        "the file is damaged or incomplete: download it again"
    } else {
        "it seems to be another file under this name: download the published one"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_formats_that_get_swapped() {
        let cases: &[(&[u8], &str)] = &[
            (b"PK\x03\x04rest", "zip"),
            (b"\x93NUMPY\x01\x00", "NumPy"),
            (b"version https://git-lfs.github.com/spec/v1", "LFS"),
            (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9", "before version 1.6"),
            (b"\x10\x00\x00\x00\x00\x00\x00\x00{\"a\":{}}", "SafeTensors"),
            (b"\x08\x08\x12\x07pytorch", "ONNX"),
            (b"", "zeros"),
            (b"noise", "something else"),
        ];
        for (bytes, part) in cases {
            assert!(describe(bytes).contains(part), "{bytes:?}: {}", describe(bytes));
        }
    }
}
