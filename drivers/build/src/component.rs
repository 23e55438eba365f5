//! From a core module to a component.

use wit_component::{ComponentEncoder, DecodedWasm};

use crate::{Error, names};

/// Make a component of the module, validated, with no import outside of `nacre:storage`.
pub(crate) fn encode(krate: &str, module: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Component { krate: krate.to_owned(), reason };
    let module = names::shorten(module).map_err(|error| failed(error.to_string()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| failed(format!("{error:#}")))?;
    let decoded = wit_component::decode(&component).map_err(|error| failed(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(failed("it has no world".to_owned()));
    };
    for key in resolve.worlds[world].imports.keys() {
        let import = resolve.name_world_key(key);
        if !import.starts_with("nacre:storage/") {
            return Err(Error::ForeignImport { krate: krate.to_owned(), import });
        }
    }
    names::without_index_names(&component).map_err(|error| failed(error.to_string()))
}
