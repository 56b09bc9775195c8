// SPDX-License-Identifier: MIT
//! Just enough of addresses: `https://host[:port]/path`.

/// An https address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Name or IP address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, beginning with a slash.
    pub(super) path: String,
}

impl Url {
    /// Reads an address; other schemes, user names and characters that do not belong there give `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://")?;
        if text.len() > 1024 || !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains('@') {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let slash = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash)?;
        let (host, port) = split_authority(authority)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, path })
    }

    /// Where a redirect leads; only https counts.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Self::parse(&format!("https://{}{location}", self.authority()));
        }
        Self::parse(location)
    }

    /// Host and, if it is not the usual one, port, as the `Host` header and our log have it.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

fn split_authority(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(443), |p| p.parse().ok().filter(|p| *p != 0))?;
    Some((host, port))
}
