//! Refuses datasets that would make HDF5 open other files, load code, or take far more memory than
//! the file can hold.
//!
//! The checks read the creation properties before the extent or any value: reading those would
//! already follow a virtual dataset.

use std::ffi::c_uint;
use std::ptr::null_mut;
use std::sync::Once;

use hdf5::dataset::Layout;
use hdf5::plist::DatasetCreate;
use hdf5::sync::sync;
use hdf5::{Dataset, Group, LinkType};
use hdf5_sys::h5l::{H5L_type_t, H5Lunregister};
use hdf5_sys::h5p::{H5Pget_external_count, H5Pget_filter2, H5Pget_nfilters};
use hdf5_sys::h5z::{H5Z_filter_t, H5Zfilter_avail};

use super::cause;

/// Maximum bytes of a chunk. HDF5 holds a chunk and its compressed form to read one row of it.
const LARGEST_CHUNK: u64 = 64 << 20;

/// Maximum bytes that deflate makes of one stored byte; a dataset that claims more is not in the
/// file.
const MOST_EXPANSION: u64 = 1032;

/// Maximum number of filters in a pipeline.
const MOST_FILTERS: usize = 8;

const DEFLATE: H5Z_filter_t = 1;

/// Filters that do not compress: shuffle and the Fletcher checksum.
const NO_COMPRESSION: [H5Z_filter_t; 2] = [2, 3];

/// Makes HDF5 fail on every link into another file, in the whole process.
pub(super) fn stay_within_the_file() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // SAFETY: takes no pointer and runs under the lock of all library calls. Failing because
        // the class is not registered leaves the wanted state.
        sync(|| unsafe { H5Lunregister(H5L_type_t::H5L_TYPE_EXTERNAL) });
    });
}

/// Returns the reason why the member `name` of `parent` could not be opened; `None` if its link is
/// not the reason.
pub(super) fn broken_link(parent: &Group, name: &str) -> Option<&'static str> {
    let mut kind = None;
    // A group that cannot be listed gives no better reason.
    let _ = parent.iter_visit_default(|member, link| {
        if member == name {
            kind = Some(link.link_type);
        }
        Ok(())
    });
    match kind? {
        LinkType::Hard => None,
        LinkType::Soft => Some("is a link to nothing that can be read in this file"),
        LinkType::External => {
            Some("is an external link: must be in this file, links are not followed to others")
        }
    }
}

/// Fails if `dataset` must not be read from a file of `file_bytes` bytes: virtual, stored
/// elsewhere, with too large chunks, too many bytes or refused filters. The error text follows the
/// dataset's name.
pub(super) fn storage(dataset: &Dataset, file_bytes: u64) -> Result<(), String> {
    let properties = dataset.dcpl().map_err(|error| unreadable(&error))?;
    let layout = properties.get_layout().map_err(|e| unreadable(&e))?;
    if layout == Layout::Virtual {
        return Err(
            "is a virtual dataset: must hold its values itself (h5repack -l CONTI)".to_owned(),
        );
    }
    // SAFETY: the property list is alive, and so is its id.
    if sync(|| unsafe { H5Pget_external_count(properties.id()) }) != 0 {
        return Err(
            "is stored in another file: must be in this one (h5repack -l CONTI)".to_owned(),
        );
    }
    let deflated = filters(&properties)?;
    let bytes = dataset.dtype().map_err(|e| unreadable(&e))?.size() as u64;
    let chunk = properties.get_chunk().map_err(|e| unreadable(&e))?;
    let chunk = chunk.map_or(0, |chunk| product(&chunk, bytes));
    if chunk > LARGEST_CHUNK {
        return Err(format!(
            "has chunks of {chunk} bytes: must be at most {LARGEST_CHUNK} (h5repack -l CHUNK=65536)"
        ));
    }
    let claimed = product(&dataset.shape(), bytes);
    // A chunk that is only partly written may count in full.
    let most = file_bytes
        .saturating_mul(MOST_EXPANSION)
        .saturating_add(chunk);
    let stored = !deflated && chunk == 0 && claimed > file_bytes && dataset.offset().is_some();
    if stored || claimed > most {
        return Err(format!(
            "claims {claimed} bytes, which a file of {file_bytes} cannot hold: it is damaged or \
             was never filled"
        ));
    }
    Ok(())
}

fn product(shape: &[usize], bytes: u64) -> u64 {
    let lengths = shape.iter().map(|&length| length as u64);
    lengths.fold(bytes, u64::saturating_mul)
}

fn unreadable(error: &hdf5::Error) -> String {
    format!("cannot be read: {}", cause(error))
}

/// Checks the filter pipeline and returns whether it compresses.
///
/// Does not use the crate's own list of filters, which trusts the stored number of parameters.
fn filters(properties: &DatasetCreate) -> Result<bool, String> {
    // SAFETY: the property list is alive, and so is its id.
    let count = sync(|| unsafe { H5Pget_nfilters(properties.id()) });
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > MOST_FILTERS {
        return Err(format!(
            "passes {count} filters: must be at most {MOST_FILTERS}"
        ));
    }
    let mut compressions = 0;
    for index in 0..count {
        let id = filter(properties, index as c_uint)?;
        // SAFETY: takes no pointer.
        if sync(|| unsafe { H5Zfilter_avail(id) }) <= 0 {
            return Err(format!(
                "is compressed with {}, which cannot be read here: rewrite the file with gzip or \
                 without compression (in h5py compression=\"gzip\" or None)",
                name_of(id)
            ));
        }
        compressions += usize::from(!NO_COMPRESSION.contains(&id));
    }
    match compressions {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(format!(
            "is compressed {compressions} times over: must be once at most (h5repack -f GZIP=4)"
        )),
    }
}

fn filter(properties: &DatasetCreate, index: c_uint) -> Result<H5Z_filter_t, String> {
    let (mut flags, mut parameters) = (0, 0);
    // SAFETY: the property list is alive. The call writes the two numbers. It is asked for no
    // parameters and no name, so their buffers may be null.
    let id = sync(|| unsafe {
        H5Pget_filter2(
            properties.id(),
            index,
            &mut flags,
            &mut parameters,
            null_mut(),
            0,
            null_mut(),
            null_mut(),
        )
    });
    match id {
        1.. => Ok(id),
        _ => Err("cannot be read: its filters are unreadable".to_owned()),
    }
}

/// Returns the name of a filter from its registered number.
fn name_of(id: H5Z_filter_t) -> String {
    let name = match id {
        DEFLATE => "gzip",
        4 => "szip",
        5 => "nbit",
        6 => "scaleoffset",
        307 => "bzip2",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return format!("filter {id}"),
    };
    name.to_owned()
}
