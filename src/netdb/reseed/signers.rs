// SPDX-License-Identifier: MIT
//! Whose bundles we take: the operators' certificates, bundled with the router or named by its operator.

use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest as _, Sha512};
use x509_cert::Certificate;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, DecodePem as _, Reader as _, SliceReader};

use super::{ReseedError, Su3};

/// Certificates that come with the router: file name without `.crt` and contents. `@` is written `_at_`.
const BUNDLED: [(&str, &str); 15] = [
    ("acetone_at_mail.i2p", include_str!("certs/acetone_at_mail.i2p.crt")),
    ("admin_at_stormycloud.org", include_str!("certs/admin_at_stormycloud.org.crt")),
    ("creativecowpat_at_mail.i2p", include_str!("certs/creativecowpat_at_mail.i2p.crt")),
    ("diyarciftci_at_protonmail.com", include_str!("certs/diyarciftci_at_protonmail.com.crt")),
    ("echelon3_at_mail.i2p", include_str!("certs/echelon3_at_mail.i2p.crt")),
    ("hankhill19580_at_gmail.com", include_str!("certs/hankhill19580_at_gmail.com.crt")),
    ("hottuna_at_mail.i2p", include_str!("certs/hottuna_at_mail.i2p.crt")),
    ("i2p-reseed_at_mk16.de", include_str!("certs/i2p-reseed_at_mk16.de.crt")),
    ("igor_at_novg.net", include_str!("certs/igor_at_novg.net.crt")),
    ("lazygravy_at_mail.i2p", include_str!("certs/lazygravy_at_mail.i2p.crt")),
    ("orignal_at_mail.i2p", include_str!("certs/orignal_at_mail.i2p.crt")),
    ("r4sas-reseed_at_mail.i2p", include_str!("certs/r4sas-reseed_at_mail.i2p.crt")),
    ("rambler_at_mail.i2p", include_str!("certs/rambler_at_mail.i2p.crt")),
    ("reseed_at_diva.exchange", include_str!("certs/reseed_at_diva.exchange.crt")),
    ("sahil_at_mail.i2p", include_str!("certs/sahil_at_mail.i2p.crt")),
];

/// Smallest modulus that we accept, in bytes.
const MODULUS_MIN: usize = 256;

/// One operator.
#[derive(Clone, Debug)]
pub struct Signer {
    id: String,
    key: RsaPublicKey,
    not_before_s: u64,
    not_after_s: u64,
}

impl Signer {
    /// Reads a certificate in PEM. The signer's id is the subject's common name.
    ///
    /// # Errors
    /// When it is not a certificate, not for RSA, of a weak key, or without a name.
    pub fn from_pem(pem: &str) -> Result<Self, ReseedError> {
        let bad = ReseedError::Certificate;
        let cert = Certificate::from_pem(pem.trim()).map_err(|_| bad("not an X.509 certificate in PEM"))?;
        let tbs = cert.tbs_certificate();
        let key = tbs.subject_public_key_info().subject_public_key.as_bytes().ok_or(bad("no public key"))?;
        let key = rsa_key(key).ok_or(bad("not a key for RSA"))?;
        if key.size() < MODULUS_MIN {
            return Err(bad("an RSA key below 2048 bits"));
        }
        Ok(Self {
            id: common_name(&cert).ok_or(bad("no common name"))?,
            key,
            not_before_s: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after_s: tbs.validity().not_after.to_unix_duration().as_secs(),
        })
    }

    /// The id that bundles name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature is "raw": a PKCS#1 v1.5 block around the bare SHA-512 of the file, without the usual prefix that
    /// names the digest.
    fn check(&self, su3: &Su3<'_>, now_s: u64) -> Result<(), ReseedError> {
        if !(self.not_before_s..=self.not_after_s).contains(&now_s) {
            return Err(ReseedError::CertificateDates(self.id.clone()));
        }
        let digest = Sha512::digest(su3.signed());
        self.key
            .verify(Pkcs1v15Sign::new_unprefixed(), &digest, su3.signature())
            .map_err(|_| ReseedError::BadSignature(self.id.clone()))
    }
}

/// Every operator that we trust.
#[derive(Clone, Debug, Default)]
pub struct Signers {
    list: Vec<Signer>,
}

impl Signers {
    /// Nobody.
    pub const fn none() -> Self {
        Self { list: Vec::new() }
    }

    /// Those whose certificates come with the router.
    pub fn bundled() -> Self {
        let mut list = Vec::with_capacity(BUNDLED.len());
        for (name, pem) in BUNDLED {
            match Signer::from_pem(pem) {
                // The file's name is what counts, as in all routers.
                Ok(signer) => list.push(Signer { id: name.replace("_at_", "@"), ..signer }),
                Err(error) => tracing::error!(name, %error, "a bundled certificate cannot be read"),
            }
        }
        Self { list }
    }

    /// Trusts one more.
    pub fn add(&mut self, signer: Signer) {
        self.list.push(signer);
    }

    /// Number of certificates.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Checks that one of them signed the file. An operator may have several certificates, old and new.
    ///
    /// # Errors
    /// The reason of the last certificate that bears the signer's id, or that there is none.
    pub fn check(&self, su3: &Su3<'_>, now_s: u64) -> Result<(), ReseedError> {
        let mut result = Err(ReseedError::UnknownSigner(su3.signer().to_owned()));
        for signer in self.list.iter().filter(|s| s.id == su3.signer()) {
            result = signer.check(su3, now_s);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// `RSAPublicKey` of RFC 8017: modulus and exponent.
fn rsa_key(der: &[u8]) -> Option<RsaPublicKey> {
    let mut r = SliceReader::new(der).ok()?;
    let (n, e) = r
        .sequence(|r| {
            let n = UintRef::decode(r)?;
            let e = UintRef::decode(r)?;
            Ok::<_, x509_cert::der::Error>((n.as_bytes().to_vec(), e.as_bytes().to_vec()))
        })
        .ok()?;
    RsaPublicKey::new(BoxedUint::from_be_slice_vartime(&n), BoxedUint::from_be_slice_vartime(&e)).ok()
}

fn common_name(cert: &Certificate) -> Option<String> {
    const COMMON_NAME: &str = "2.5.4.3";
    let names = cert.tbs_certificate().subject().iter();
    let name = names.filter(|a| a.oid.to_string() == COMMON_NAME).last()?;
    std::str::from_utf8(name.value.value()).ok().map(ToOwned::to_owned)
}
