// SPDX-License-Identifier: MIT
//! `HOST` and `PORT`: where a client wants its datagrams.
//!
//! They go to loopback or to the client's own address, nowhere else unless configured. A host name is resolved by the
//! system once, when the session is made: within 3 s, four at a time, and only to find one of the allowed addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::sam::backend::Failure;
use crate::sam::reply::ResultCode;
use crate::sam::server::Shared;

/// Names that may be resolved at once.
pub(in crate::sam) const HOST_LOOKUPS_MAX: usize = 4;
/// How long the system may take for a name.
const PATIENCE: Duration = Duration::from_secs(3);
/// Names of networks of their own, which the system's resolver must never hear of.
const SECRET_SUFFIXES: [&str; 3] = [".i2p", ".onion", ".alt"];

/// The UDP address that gets the datagrams of a session.
pub(in crate::sam) async fn target(
    host: Option<&str>,
    port: u16,
    client: IpAddr,
    shared: &Shared,
) -> Result<SocketAddr, Failure> {
    let refuse = |explain: &str| Err(Failure::new(ResultCode::I2pError, explain));
    let Some(local) = shared.udp.as_ref().and_then(|socket| socket.local_addr().ok()) else {
        return refuse("the datagram port of this bridge is not open, so PORT cannot be served");
    };
    let candidates = match host {
        None => vec![client],
        Some(text) => match text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) if text.eq_ignore_ascii_case("localhost") => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            Err(_) => resolve(text, shared).await?,
        },
    };
    let allowed = |ip: &IpAddr| ip.is_loopback() || same(*ip, client) || shared.limits.forward_anywhere;
    let Some(ip) = candidates.into_iter().find(allowed) else {
        return refuse("HOST must be loopback or your own address");
    };
    match reachable(ip, local.ip()) {
        Some(ip) => Ok(SocketAddr::new(ip, port)),
        None => refuse("HOST is of another IP version than the datagram port of this bridge"),
    }
}

async fn resolve(name: &str, shared: &Shared) -> Result<Vec<IpAddr>, Failure> {
    let refuse = |explain: &str| Failure::new(ResultCode::I2pError, explain);
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    if SECRET_SUFFIXES.iter().any(|suffix| lower.ends_with(suffix)) {
        return Err(refuse("HOST must be an IP address or the name of a machine"));
    }
    let Ok(_permit) = shared.host_lookups.try_acquire() else {
        return Err(refuse("too many HOST names are being resolved; try again or give an IP address"));
    };
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((lower.as_str(), 1))).await {
        Ok(Ok(found)) => Ok(found.take(16).map(|address| address.ip()).collect()),
        Ok(Err(_)) => Err(refuse("HOST is not known to the system; give an IP address")),
        Err(_) => Err(refuse("HOST was not resolved within 3 s; give an IP address")),
    }
}

/// Whether two addresses are one as far as can be told: the same, or loopback of either IP version.
pub(super) fn same(left: IpAddr, right: IpAddr) -> bool {
    let (left, right) = (left.to_canonical(), right.to_canonical());
    left == right || (left.is_loopback() && right.is_loopback() && left.is_ipv4() != right.is_ipv4())
}

/// The form in which our socket reaches an address.
fn reachable(ip: IpAddr, local: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    match (ip, local) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => Some(ip),
        (IpAddr::V4(ip), IpAddr::V6(local)) if local.is_unspecified() => Some(ip.to_ipv6_mapped().into()),
        (IpAddr::V4(ip), IpAddr::V6(_)) if ip.is_loopback() => Some(Ipv6Addr::LOCALHOST.into()),
        (IpAddr::V6(ip), IpAddr::V4(_)) if ip.is_loopback() => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    }
}
