// SPDX-License-Identifier: MIT
//! Addresses of subscriptions: `http://host.i2p[:port]/path`.

use std::fmt;

/// Longest address.
const LEN_MAX: usize = 512;

/// The address of a feed on an I2P site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedUrl {
    text: String,
    host: String,
    port: u16,
    path: String,
}

impl FeedUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("http://").ok_or("it does not begin with http://")?;
        if text.len() > LEN_MAX || !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['@', '#']) {
            return Err("it is not an address of a site on I2P");
        }
        let slash = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(slash).unwrap_or((rest, ""));
        let (host, port) = match authority.split_once(':') {
            None => (authority, 80),
            Some((host, port)) => {
                (host, port.parse().ok().filter(|p| *p != 0).ok_or("its port is not one of 1 to 65535")?)
            }
        };
        let host = host.to_ascii_lowercase();
        if !host.ends_with(".i2p") || host.len() <= 4 {
            return Err("its host does not end in .i2p: subscriptions are fetched over I2P alone");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { text: text.to_owned(), host, port, path })
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 unless given.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The head of a request for it.
    pub fn request(&self, validators: &super::Validators) -> String {
        let port = if self.port == 80 { String::new() } else { format!(":{}", self.port) };
        // What browsers behind the proxies of I2P routers look like.
        let mut head = format!(
            "GET {} HTTP/1.1\r\nHost: {}{port}\r\nUser-Agent: MYOB/6.66 (AN/ON)\r\n\
             Accept-Encoding: x-i2p-gzip;q=1.0, identity;q=0.5, deflate;q=0, gzip;q=0, *;q=0\r\n",
            self.path, self.host
        );
        for (key, value) in [("If-None-Match", &validators.etag), ("If-Modified-Since", &validators.modified)]
        {
            if let Some(value) = value {
                head.push_str(&format!("{key}: {value}\r\n"));
            }
        }
        head.push_str("Connection: close\r\n\r\n");
        head
    }
}

impl fmt::Display for FeedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
