// SPDX-License-Identifier: MIT

use super::*;

fn example() -> EncryptedLeaseSet {
    EncryptedLeaseSet::build(&[5; 32], 1_700_000_000, 1_700_000_600, &[9; 300], |bytes| {
        assert_eq!(bytes.first(), Some(&5), "the store type is signed as well");
        assert_eq!(bytes.len(), 1 + 2 + 32 + 4 + 2 + 2 + 2 + 300);
        vec![8; 64]
    })
}

#[test]
fn what_is_built_reads_back_and_no_truncation_does() {
    let set = example();
    let bytes = set.raw().clone();
    assert_eq!(EncryptedLeaseSet::from_bytes(&bytes), Ok(set.clone()));
    assert_eq!(set.sealed(), [9; 300]);
    assert_eq!(set.signature(), [8; 64]);
    assert_eq!((set.sig_type(), set.blinded_key()), (SigType::RedDsa, &[5; 32][..]));
    assert_eq!((set.published_s(), set.expires_s()), (1_700_000_000, 1_700_000_600));
    for cut in 0..bytes.len() {
        assert_eq!(EncryptedLeaseSet::from_bytes(&bytes[..cut]), Err(DecodeError::Short), "cut {cut}");
    }
}

#[test]
fn an_offset_beyond_its_field_is_cut() {
    let set = EncryptedLeaseSet::build(&[5; 32], 1, 1_000_000, &[], |_| vec![0; 64]);
    assert_eq!(set.expires_s(), 65_536);
}
