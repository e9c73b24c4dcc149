//! The superblock: the first 48 bytes of an HDF5 file. A single write of it puts all other changes
//! in force.
//!
//! Layout of version 2 in the HDF5 File Format Specification 3.0; numbers are little-endian.
//!
//! ```text
//!  0  89 48 44 46 0D 0A 1A 0A   signature: 89 "HDF" CR LF SUB LF
//!  8  02                        version of the superblock
//!  9  08                        bytes of an address
//! 10  08                        bytes of a length
//! 11  00                        consistency flags: not open for writing
//! 12  00 00 00 00 00 00 00 00   base address, to which all addresses are relative
//! 20  FF FF FF FF FF FF FF FF   address of the superblock extension: none
//! 28  .. .. .. .. .. .. .. ..   end of the file: the address after its last byte
//! 36  .. .. .. .. .. .. .. ..   address of the root group's object header
//! 44  .. .. .. ..               checksum of bytes 0 … 43
//! ```

use super::checksum::with_checksum;
use super::format::NOWHERE;

/// Size of the superblock in bytes.
pub(super) const SUPERBLOCK: u64 = 48;

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
const VERSION: u8 = 2;
const ADDRESS_BYTES: u8 = 8;
const LENGTH_BYTES: u8 = 8;
const FLAGS: u8 = 0;
const BASE: u64 = 0;

/// Encodes the superblock of a file that ends at `end` and whose root group is at `root`.
pub(super) fn superblock(end: u64, root: u64) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([VERSION, ADDRESS_BYTES, LENGTH_BYTES, FLAGS]);
    for address in [BASE, NOWHERE, end, root] {
        bytes.extend(address.to_le_bytes());
    }
    with_checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_sketch() {
        let bytes = superblock(0x1234, 0x5678);
        assert_eq!(bytes.len() as u64, SUPERBLOCK);
        assert_eq!(bytes[..12], *b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00");
        assert_eq!(bytes[12..20], [0; 8]);
        assert_eq!(bytes[20..28], [0xFF; 8]);
        assert_eq!(bytes[28..36], [0x34, 0x12, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[36..44], [0x78, 0x56, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes, with_checksum(bytes[..44].to_vec()));
    }
}
