//! `nacre.hash`.

use std::fs::File;
use std::io::{ErrorKind, Read};

use sha2::{Digest, Sha256};

use crate::registry::{Answer, Area, Call, Kind, function, needs};
use crate::{Code, Fault};

/// `nacre.hash`.
pub(super) const AREA: Area = Area {
    name: "hash",
    doc: "Digests.",
    fields: &[],
    functions: &[
        function(
            "sha256",
            "The SHA-256 of a string, in hexadecimal digits.",
            &[needs("bytes", Kind::Other("string"), "what is to be hashed")],
            "string",
            "print(nacre.hash.sha256(\"abc\"))",
            |c| c.give_text(hex::encode(Sha256::digest(c.bytes("bytes")?))),
        ),
        function(
            "sha256_file",
            "The same of a file.",
            &[needs("file", Kind::Text, "the file")],
            "string",
            "print(nacre.hash.sha256_file(\"debian.tar\"))",
            of_file,
        ),
    ],
};

fn of_file(c: &Call<'_>) -> Answer {
    let path = c.file("file")?;
    let failed = |error: std::io::Error| {
        let code = if error.kind() == ErrorKind::NotFound { Code::NOT_FOUND } else { Code::FAILED };
        Fault::new(code, format!("cannot read {}: {error}", path.display()))
    };
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Fault::usage(format!("{} is no file", path.display())));
    }
    let mut hash = Sha256::new();
    let mut file = File::open(&path).map_err(failed)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return c.give_text(hex::encode(hash.finalize())),
            n => hash.update(piece.get(..n).unwrap_or_default()),
        }
    }
}
