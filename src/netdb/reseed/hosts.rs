// SPDX-License-Identifier: MIT
//! The public reseed hosts.

const LIST: &str = include_str!("hosts.txt");

/// Hosts that prove themselves by a certificate of their own, not by one of a public authority.
const TLS: [&str; 1] = [include_str!("tls/i2pseed.creativecowpat.net.crt")];

/// Base addresses of the public hosts, all `https://.../`.
pub fn hosts() -> impl Iterator<Item = &'static str> {
    LIST.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

/// Certificates (PEM) that hosts use besides those of public authorities.
pub fn tls_certificates() -> impl Iterator<Item = &'static str> {
    TLS.into_iter()
}

/// Address of the bundle at a host; an address of an `.su3` file stays as it is.
pub fn bundle_url(base: &str, net_id: u8) -> String {
    let path = base.split('?').next().unwrap_or(base);
    if path.ends_with(".su3") {
        return base.to_owned();
    }
    let slash = if base.ends_with('/') { "" } else { "/" };
    format!("{base}{slash}i2pseeds.su3?netid={net_id}")
}
