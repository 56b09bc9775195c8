// SPDX-License-Identifier: MIT
use super::*;
use crate::crypto::Verified;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha512};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

const SAMPLE: &[u8] = include_bytes!("../../../sam-tests/data/reseed/sample.su3");
const TEST_CERT: &str = include_str!("../../../sam-tests/data/reseed/test-signer.crt");
const TEST_KEY: &[u8] = include_bytes!("../../../sam-tests/data/reseed/test-signer.key.der");

/// A day after the sample was built.
const SAMPLE_DAY: u64 = 1_745_582_702 + 86_400;
/// A day in the life of the test certificate.
const TODAY: u64 = 1_900_000_000;

fn test_signers() -> Signers {
    let mut signers = Signers::none();
    signers.add(Signer::from_pem(TEST_CERT).unwrap());
    signers
}

/// Reads the PKCS#1 private key by hand.
fn test_key() -> RsaPrivateKey {
    let mut r = SliceReader::new(TEST_KEY).unwrap();
    let n: Vec<BoxedUint> = r
        .sequence(|r| {
            let mut list = Vec::new();
            while !r.is_finished() {
                list.push(BoxedUint::from_be_slice_vartime(UintRef::decode(r)?.as_bytes()));
            }
            Ok::<_, x509_cert::der::Error>(list)
        })
        .unwrap();
    RsaPrivateKey::from_components(n[1].clone(), n[2].clone(), n[3].clone(), vec![n[4].clone(), n[5].clone()])
        .unwrap()
}

/// A bundle signed with the test key.
pub(crate) fn signed_bundle(content: &[u8], signer: &str, built_s: u64) -> Vec<u8> {
    let mut su3 = b"I2Psu3\0\0\0\x06".to_vec();
    su3.extend_from_slice(&256u16.to_be_bytes());
    su3.extend_from_slice(&[0, 16, 0, signer.len() as u8]);
    su3.extend_from_slice(&(content.len() as u64).to_be_bytes());
    su3.extend_from_slice(&[0, 0, 0, 3]);
    su3.extend_from_slice(&[0; 12]);
    let mut version = built_s.to_string().into_bytes();
    version.resize(16, 0);
    su3.extend_from_slice(&version);
    su3.extend_from_slice(signer.as_bytes());
    su3.extend_from_slice(content);
    let digest = Sha512::digest(&su3);
    let signature = test_key().sign(Pkcs1v15Sign::new_unprefixed(), &digest).unwrap();
    su3.extend_from_slice(&signature);
    su3
}

/// A zip writer just good enough for honest and dishonest archives.
#[derive(Default)]
pub(crate) struct Packer {
    out: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Packer {
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8], deflate: bool) -> &mut Self {
        let packed = if deflate {
            use std::io::Write as _;
            let mut w = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            w.write_all(bytes).unwrap();
            w.finish().unwrap()
        } else {
            bytes.to_vec()
        };
        self.add_raw(name, &packed, bytes.len(), crc32fast::hash(bytes), if deflate { 8 } else { 0 })
    }

    /// Writes the local header as a streaming packer does: without sizes, which follow the data.
    fn add_raw(&mut self, name: &str, packed: &[u8], size: usize, crc: u32, method: u16) -> &mut Self {
        let at = self.out.len() as u32;
        let fields = |out: &mut Vec<u8>, sizes: [u32; 3]| {
            out.extend_from_slice(&20u16.to_le_bytes());
            out.extend_from_slice(&8u16.to_le_bytes());
            out.extend_from_slice(&method.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            for n in sizes {
                out.extend_from_slice(&n.to_le_bytes());
            }
            out.extend_from_slice(&(name.len() as u16).to_le_bytes());
            out.extend_from_slice(&0u16.to_le_bytes());
        };
        self.out.extend_from_slice(b"PK\x03\x04");
        fields(&mut self.out, [0, 0, 0]);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(packed);
        self.out.extend_from_slice(b"PK\x07\x08");
        let sizes = [crc, packed.len() as u32, size as u32];
        for n in sizes {
            self.out.extend_from_slice(&n.to_le_bytes());
        }
        self.directory.extend_from_slice(b"PK\x01\x02\x14\0");
        fields(&mut self.directory, sizes);
        self.directory.extend_from_slice(&[0; 10]);
        self.directory.extend_from_slice(&at.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.count += 1;
        self
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut out = self.out.clone();
        let at = out.len() as u32;
        out.extend_from_slice(&self.directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&(self.directory.len() as u32).to_le_bytes());
        out.extend_from_slice(&at.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out
    }
}

/// Some RouterInfos of the sample under their right names.
pub(crate) fn sample_routers(count: usize) -> Vec<(String, Vec<u8>)> {
    let bundle = open_su3(SAMPLE, &Signers::bundled(), SAMPLE_DAY, Origin::Web).unwrap();
    let named = |raw: Vec<u8>| {
        let info = RouterInfo::decode(&mut Reader::new(&raw)).unwrap();
        (format!("routerInfo-{}.dat", b64::encode(&info.hash().0)), raw)
    };
    bundle.routers.into_iter().take(count).map(named).collect()
}

pub(crate) fn sample_zip(count: usize) -> Vec<u8> {
    let mut packer = Packer::default();
    for (i, (name, raw)) in sample_routers(count).iter().enumerate() {
        packer.add(name, raw, i % 2 == 0);
    }
    packer.finish()
}

fn zip_error(archive: &[u8]) -> Option<ReseedError> {
    zip::read(archive, Names::Flat).err()
}

#[test]
fn a_bundle_of_the_live_network_opens_and_every_router_in_it_is_genuine() {
    let bundle = open_su3(SAMPLE, &Signers::bundled(), SAMPLE_DAY, Origin::Web).unwrap();
    assert_eq!((bundle.routers.len(), bundle.skipped, bundle.old_days), (75, 0, None));
    assert_eq!(bundle.signer.as_deref(), Some("r4sas-reseed@mail.i2p"));
    for raw in &bundle.routers {
        let info = RouterInfo::decode(&mut Reader::new(raw)).unwrap();
        assert!(Verified::check(info).is_ok());
    }
}

#[test]
fn every_bundled_certificate_is_readable_and_named_as_its_file() {
    let signers = Signers::bundled();
    assert_eq!(signers.len(), 15);
    assert!(hosts().count() > 10 && hosts().all(|h| h.starts_with("https://") && h.ends_with('/')));
    assert!(tls_certificates().all(|c| c.contains("BEGIN CERTIFICATE")));
}

#[test]
fn age_decides_by_origin() {
    let open = |now, origin| open_su3(SAMPLE, &Signers::bundled(), now, origin);
    assert_eq!(open(SAMPLE_DAY + 10 * 86_400, Origin::Web).unwrap().old_days, Some(11));
    assert_eq!(open(SAMPLE_DAY + 40 * 86_400, Origin::Web), Err(ReseedError::TooOld { days: 41 }));
    assert_eq!(open(SAMPLE_DAY + 40 * 86_400, Origin::File).unwrap().old_days, Some(41));
    assert_eq!(open(SAMPLE_DAY - 3 * 86_400, Origin::File), Err(ReseedError::FromTheFuture));
}

#[test]
fn a_certificate_counts_only_between_its_dates_and_for_its_signer() {
    let bundle = signed_bundle(&sample_zip(3), "tester@mail.i2p", TODAY);
    assert_eq!(open_su3(&bundle, &test_signers(), TODAY, Origin::Web).unwrap().routers.len(), 3);
    let expired = open_su3(&bundle, &test_signers(), TODAY + 200 * 365 * 86_400, Origin::File);
    assert_eq!(expired, Err(ReseedError::CertificateDates("tester@mail.i2p".into())));
    let early = open_su3(&bundle, &test_signers(), 1_000_000_000, Origin::File);
    assert_eq!(early, Err(ReseedError::CertificateDates("tester@mail.i2p".into())));
    let unknown = open_su3(&bundle, &Signers::bundled(), TODAY, Origin::Web);
    assert_eq!(unknown, Err(ReseedError::UnknownSigner("tester@mail.i2p".into())));
    let other_name = signed_bundle(&sample_zip(1), "someone@mail.i2p", TODAY);
    assert!(open_su3(&other_name, &test_signers(), TODAY, Origin::Web).is_err());
    // Signed by the test key in the name of an operator with another key of another length.
    let forged = signed_bundle(&sample_zip(1), "r4sas-reseed@mail.i2p", SAMPLE_DAY);
    let forged = open_su3(&forged, &Signers::bundled(), SAMPLE_DAY, Origin::Web);
    assert_eq!(forged, Err(ReseedError::BadSignature("r4sas-reseed@mail.i2p".into())));
}

#[test]
fn a_flipped_bit_anywhere_in_the_header_or_the_signature_is_refused() {
    let bundle = signed_bundle(&sample_zip(1), "tester@mail.i2p", TODAY);
    let header = 0..40 + 16 + "tester@mail.i2p".len();
    let signature = bundle.len() - 256..bundle.len();
    for at in header.chain(signature.step_by(17)) {
        for bit in 0..8 {
            let mut bad = bundle.clone();
            bad[at] ^= 1 << bit;
            assert!(open_su3(&bad, &test_signers(), TODAY, Origin::File).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_contents_breaks_the_signature() {
    let bundle = signed_bundle(&sample_zip(2), "tester@mail.i2p", TODAY);
    for at in (80..bundle.len() - 256).step_by(61) {
        let mut bad = bundle.clone();
        bad[at] ^= 1;
        let result = open_su3(&bad, &test_signers(), TODAY, Origin::File);
        assert_eq!(result, Err(ReseedError::BadSignature("tester@mail.i2p".into())), "byte {at}");
    }
}

#[test]
fn d8_truncated_and_lengthened_bundles_are_refused() {
    for cut in (0..100).chain((100..SAMPLE.len()).step_by(997)).chain([SAMPLE.len() - 1]) {
        assert!(
            open_su3(&SAMPLE[..cut], &Signers::bundled(), SAMPLE_DAY, Origin::File).is_err(),
            "cut {cut}"
        );
    }
    let longer = [SAMPLE, &[0]].concat();
    let result = open_su3(&longer, &Signers::bundled(), SAMPLE_DAY, Origin::File);
    assert_eq!(result, Err(ReseedError::Su3("bytes behind the signature")));
    assert_eq!(
        open_su3(&vec![0; BUNDLE_MAX + 1], &Signers::none(), 0, Origin::File),
        Err(ReseedError::TooLarge)
    );
}

#[test]
fn a_signature_with_the_usual_digest_prefix_is_not_a_raw_one() {
    let mut bundle = signed_bundle(&sample_zip(1), "tester@mail.i2p", TODAY);
    let signed = bundle.len() - 256;
    let prefixed = Pkcs1v15Sign {
        hash_len: Some(64),
        prefix: Box::from(&b"0Q0\r\x06\t`\x86H\x01e\x03\x04\x02\x03\x05\0\x04\x40"[..]),
    };
    let signature = test_key().sign(prefixed, &Sha512::digest(&bundle[..signed])).unwrap();
    bundle.truncate(signed);
    bundle.extend_from_slice(&signature);
    let result = open_su3(&bundle, &test_signers(), TODAY, Origin::Web);
    assert_eq!(result, Err(ReseedError::BadSignature("tester@mail.i2p".into())));
}

#[test]
fn certificates_that_are_none_are_refused() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(Signer::from_pem(pem), Err(ReseedError::Certificate(_))), "{pem}");
    }
    let elliptic = tls_certificates().next().unwrap();
    assert!(matches!(Signer::from_pem(elliptic), Err(ReseedError::Certificate(_))));
}

#[test]
fn zip_reads_stored_and_deflated_entries_with_sizes_behind_the_data() {
    let mut packer = Packer::default();
    packer.add("a", b"alpha", false).add("b", &[7; 4000], true).add("empty", b"", false);
    let entries = zip::read(&packer.finish(), Names::Flat).unwrap();
    assert_eq!(entries[0], Entry { name: "a".into(), bytes: b"alpha".to_vec() });
    assert_eq!(entries[1].bytes, vec![7; 4000]);
    assert_eq!(entries[2].bytes, b"");
    let with_comment = {
        let mut z = packer.finish();
        let at = z.len() - 2;
        z[at..].copy_from_slice(&5u16.to_le_bytes());
        z.extend_from_slice(b"hello");
        z
    };
    assert_eq!(zip::read(&with_comment, Names::Flat).unwrap().len(), 3);
}

#[test]
fn d8_zip_bombs_cost_nothing() {
    let mut honest = Packer::default();
    honest.add("bomb", &vec![0; 100 << 20], true);
    assert_eq!(zip_error(&honest.finish()), Some(ReseedError::Zip("an entry larger than 8 KiB")));
    // A bomb that lies about its size.
    let packed = {
        use std::io::Write as _;
        let mut w = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        w.write_all(&vec![0; 1 << 20]).unwrap();
        w.finish().unwrap()
    };
    let mut liar = Packer::default();
    liar.add_raw("bomb", &packed, 1000, 0, 8);
    assert_eq!(zip_error(&liar.finish()), Some(ReseedError::Zip("an entry of another size than stated")));
}

#[test]
fn d8_zip_limits_hold() {
    let mut many = Packer::default();
    for i in 0..2001 {
        many.add(&format!("f{i}"), b"", false);
    }
    assert_eq!(zip_error(&many.finish()), Some(ReseedError::Zip("more than 2000 entries")));
    let mut largest = Packer::default();
    largest.add("f", &[1; 8192], false);
    assert_eq!(zip_error(&largest.finish()), None);
    let mut larger = Packer::default();
    larger.add("f", &[1; 8193], false);
    assert_eq!(zip_error(&larger.finish()), Some(ReseedError::Zip("an entry larger than 8 KiB")));
}

#[test]
fn d8_zip_names_cannot_lead_anywhere() {
    for name in ["../x", "/etc/passwd", "a/b", "..", ".", "a\\b", "C:x", "", "a\nb", "naïve"] {
        let mut packer = Packer::default();
        packer.add(name, b"x", false);
        assert!(zip_error(&packer.finish()).is_some(), "{name:?}");
    }
    for (name, good) in [("netDb/r0/x.dat", true), ("a/../x", false), ("/a", false), ("a//b", false)] {
        let mut packer = Packer::default();
        packer.add(name, b"x", false);
        assert_eq!(zip::read(&packer.finish(), Names::Nested).is_ok(), good, "{name:?}");
    }
}

#[test]
fn zip_survives_every_truncation_and_every_flipped_byte() {
    let mut packer = Packer::default();
    packer.add("a", b"alpha", false).add("b", &[7; 300], true);
    let archive = packer.finish();
    for cut in 0..archive.len() {
        assert!(zip::read(&archive[..cut], Names::Flat).is_err(), "cut {cut}");
    }
    for at in 0..archive.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = archive.clone();
            bad[at] = value;
            let _ = zip::read(&bad, Names::Nested);
        }
    }
    let encrypted = {
        let mut bad = archive.clone();
        let at = archive.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bad[at + 8] |= 1;
        bad
    };
    assert_eq!(zip_error(&encrypted), Some(ReseedError::Zip("an encrypted entry")));
}

#[test]
fn entries_that_do_not_belong_to_their_name_are_skipped() {
    let routers = sample_routers(3);
    let mut packer = Packer::default();
    packer.add(&routers[0].0, &routers[0].1, true);
    packer.add(&routers[1].0, &routers[2].1, true);
    packer.add("README", b"hello", false);
    packer.add("router.info", &routers[2].1, false);
    let bundle = open_zip(&packer.finish()).unwrap();
    assert_eq!((bundle.routers.len(), bundle.skipped), (2, 2));
    assert_eq!(open_zip(&Packer::default().finish()), Err(ReseedError::NoRouters));
}

#[test]
fn addresses_of_bundles_follow_the_host() {
    assert_eq!(bundle_url("https://a/", 2), "https://a/i2pseeds.su3?netid=2");
    assert_eq!(bundle_url("https://a/b", 77), "https://a/b/i2pseeds.su3?netid=77");
    assert_eq!(bundle_url("https://a/x.su3", 2), "https://a/x.su3");
    assert_eq!(bundle_url("https://a/x.su3?n=1", 2), "https://a/x.su3?n=1");
}

#[test]
fn mutated_archives_and_bundles_never_do_more_than_fail() {
    let mut rng = crate::base::Rng::from_seed(7);
    let mut packer = Packer::default();
    packer.add("a", b"alpha", false).add("b", &[7; 300], true).add("c", &[9; 40], true);
    let archive = packer.finish();
    let header = 40 + 16 + "r4sas-reseed@mail.i2p".len();
    for _ in 0..5_000 {
        let mut bad = archive.clone();
        for _ in 0..rng.between(1, 6) {
            let (at, value) = (rng.index(bad.len()), rng.bytes::<1>());
            bad[at] = value[0];
        }
        bad.truncate(archive.len() - rng.index(20));
        if let Ok(entries) = zip::read(&bad, Names::Nested) {
            assert!(entries.iter().all(|e| e.bytes.len() <= 8192));
        }
        let mut bundle = SAMPLE[..2000].to_vec();
        let at = rng.index(header);
        bundle[at] = rng.bytes::<1>()[0];
        assert!(open_su3(&bundle, &Signers::none(), SAMPLE_DAY, Origin::File).is_err());
    }
}
