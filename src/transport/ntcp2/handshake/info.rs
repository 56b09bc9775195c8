// SPDX-License-Identifier: MIT
//! What the responder checks in message 3 part 2: the blocks and the peer's RouterInfo.

use super::{Failure, Policy};
use crate::base::Now;
use crate::crypto::Verified;
use crate::transport::addr;
use crate::wire::ntcp2_block::{Block, blocks};
use crate::wire::{RouterInfo, Wire};

/// Oldest RouterInfo a peer may introduce itself with.
const AGE_MAX_MS: u64 = 90 * 60 * 1000;
/// How far in the future it may be dated.
const FUTURE_MAX_MS: u64 = 2 * 60 * 1000;

/// Finds the RouterInfo: it must come first, then optionally Options, then optionally Padding, and nothing else.
pub(super) fn router_info_of(payload: &[u8]) -> Result<(&[u8], bool), Failure> {
    let mut list = blocks(payload);
    let Some(Ok(Block::RouterInfo { raw, flood })) = list.next() else { return Err(Failure::Blocks) };
    let (mut options, mut padding) = (false, false);
    for block in list {
        match block {
            Ok(Block::Options(_)) if !options && !padding => options = true,
            Ok(Block::Padding(_)) if !padding => padding = true,
            _ => return Err(Failure::Blocks),
        }
    }
    Ok((raw, flood))
}

/// Reads and checks the peer's RouterInfo: signature, network, age, static key, source address.
pub(super) fn check(
    raw: &[u8],
    key: &[u8; 32],
    policy: &Policy,
    now: Now,
) -> Result<Verified<RouterInfo>, Failure> {
    let info = RouterInfo::from_bytes(raw).map_err(Failure::RouterInfo)?;
    let info = Verified::check(info).map_err(|_| Failure::Signature)?;
    if info.net_id() != Some(policy.net_id) {
        return Err(Failure::RouterInfoNetId);
    }
    let published = info.published_ms();
    if published.saturating_add(AGE_MAX_MS) < now.wall_ms
        || published > now.wall_ms.saturating_add(FUTURE_MAX_MS)
    {
        return Err(Failure::Age);
    }
    let mut ours =
        info.addresses().iter().filter(|a| a.style == "NTCP2" && a.static_key().as_ref() == Some(key));
    let first = ours.next().ok_or(Failure::StaticKey)?;
    let remote = addr::canonical(policy.remote);
    let elsewhere = |host| {
        let host = addr::canonical(host);
        host.is_ipv4() == remote.is_ipv4() && !addr::same_host(host, remote)
    };
    let hosts = std::iter::once(first).chain(ours).filter_map(|a| a.host());
    if !policy.any_source && hosts.into_iter().any(elsewhere) {
        return Err(Failure::Source);
    }
    Ok(info)
}
