// SPDX-License-Identifier: MIT
//! TLS on both sides of the bridge: for clients that come over a network, and for servers of `FORWARD SSL=true`.
//!
//! The bridge's own certificate and key come from PEM files. Servers that peers are forwarded to are the client's own,
//! mostly on this machine with a certificate of their own making: any certificate is taken, unless the operator names
//! those to trust. Protocols are TLS 1.2 and 1.3.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::server::SamError;
use super::socket::Socket;

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Largest PEM file.
const FILE_MAX: u64 = 1 << 20;

/// A TLS address of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsAddress {
    /// Where to listen. Plain SAM does not work there.
    pub address: SocketAddr,
    /// Certificate chain, PEM, the bridge's own first.
    pub cert: PathBuf,
    /// Private key, PEM. Not readable for everybody.
    pub key: PathBuf,
}

/// Reads certificate and key of an address.
///
/// # Errors
/// When a file cannot be used, or the two do not belong together.
pub(super) fn acceptor(tls: &TlsAddress) -> Result<TlsAcceptor, SamError> {
    let bad = |path: &Path, problem: String| SamError::Tls(path.to_owned(), problem);
    let chain = certificates(&tls.cert)?;
    let pem = read(&tls.key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| bad(&tls.key, format!("has no private key in PEM form ({error})")))?;
    check_private(&tls.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| bad(&tls.cert, format!("cannot be used with this key: {error}")))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Does the handshake with a client; `None` when it fails or takes too long.
pub(super) async fn accept(acceptor: TlsAcceptor, stream: TcpStream) -> Option<Socket> {
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => Some(Socket::Tls(Box::new(TlsStream::Server(tls)))),
        Ok(Err(error)) => {
            tracing::info!(%error, "a TLS handshake at the SAM bridge failed");
            None
        }
        Err(_) => None,
    }
}

/// How servers of `FORWARD SSL=true` are called.
///
/// # Errors
/// When a file of certificates cannot be used.
pub(super) fn connector(trusted: &[PathBuf]) -> Result<TlsConnector, SamError> {
    let provider = Arc::new(ring::default_provider());
    let mut certs = Vec::new();
    for path in trusted {
        certs.extend(certificates(path)?);
    }
    let verifier: Arc<dyn ServerCertVerifier> = if certs.is_empty() {
        Arc::new(Anybody(provider.clone()))
    } else {
        let first = trusted.first().cloned().unwrap_or_default();
        let bad = |error: &dyn std::fmt::Display| SamError::Tls(first.clone(), error.to_string());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certs.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| bad(&error))?;
        Arc::new(Trusted { certs, chains })
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SamError::Tls(PathBuf::new(), error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Does the handshake with a server that was connected to as `name`.
pub(super) async fn connect(
    connector: &TlsConnector,
    name: ServerName<'static>,
    stream: TcpStream,
) -> std::io::Result<Socket> {
    let tls = connector.connect(name, stream).await?;
    Ok(Socket::Tls(Box::new(TlsStream::Client(tls))))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SamError> {
    let bad = |problem: String| SamError::Tls(path.to_owned(), problem);
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match certs {
        Ok(certs) if certs.is_empty() => Err(bad("has no certificate in PEM form".to_owned())),
        Ok(certs) => Ok(certs),
        Err(error) => Err(bad(format!("is damaged: {error}"))),
    }
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>, SamError> {
    let small = fs::metadata(path).and_then(|meta| match meta.len() {
        0..=FILE_MAX => fs::read(path),
        _ => Err(std::io::ErrorKind::FileTooLarge.into()),
    });
    small
        .map(zeroize::Zeroizing::new)
        .map_err(|error| SamError::Tls(path.to_owned(), format!("cannot be read: {error}")))
}

fn check_private(path: &Path) -> Result<(), SamError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o007 != 0) {
            let problem = "is open to all users of this machine; close it with chmod o-rwx".to_owned();
            return Err(SamError::Tls(path.to_owned(), problem));
        }
    }
    let _ = path;
    Ok(())
}

/// Takes any certificate. Who sits between us and the server could read along; on loopback nobody does.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes exactly the certificates that were named, and what authorities among them signed for the name.
#[derive(Debug)]
struct Trusted {
    certs: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.certs.iter().any(|cert| cert.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
