use std::fmt;

use super::super::spec;

/// What an image is made for (OCI image-spec, image-index.md; the values are Go's GOOS and GOARCH).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v8`; empty where there is only one.
    pub variant: String,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", ""),
            "aarch64" => ("arm64", "v8"),
            "arm" => ("arm", "v7"),
            "x86" => ("386", ""),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", ""),
            "loongarch64" => ("loong64", ""),
            same => (same, ""),
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// Whether an image that says this about itself can run here. One that says nothing can.
    pub(super) fn runs(&self, image: Option<&spec::Platform>) -> bool {
        image.is_none_or(|image| {
            (image.os.is_empty() || image.os == self.os)
                && (image.architecture.is_empty() || image.architecture == self.architecture)
                && (image.variant.is_empty() || self.variant.is_empty() || image.variant == self.variant)
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(out, "/{}", self.variant) }
    }
}

impl From<&spec::Platform> for Platform {
    fn from(image: &spec::Platform) -> Self {
        let spec::Platform { os, architecture, variant } = image.clone();
        Self { os, architecture, variant }
    }
}
