// SPDX-License-Identifier: MIT
//! Bounds of one destination's sessions.

/// Bounds of one destination's sessions. The defaults hold a busy server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most remotes at once; beyond, the one that has been silent longest goes. Default 2,048.
    pub sessions: usize,
    /// Most tags listened for, of all sessions; beyond, the tag set that has been silent longest goes.
    /// About 40 bytes each. Default 65,536.
    pub tags: usize,
    /// Most one-time reply tags; beyond, registering drops the one that ends first. Default 256.
    pub reply_tags: usize,
    /// New Sessions of ours that wait for a reply, for each remote; beyond, the oldest goes. Default 24:
    /// those of five seconds, when datagrams go to a remote that does not answer.
    pub pending_per_remote: usize,
    /// Payloads that wait for a remote's first answer; beyond, sealing fails. Default 24, which is what a
    /// fresh tag window takes at once.
    pub held_per_remote: usize,
    /// New Sessions decrypted per second, sustained. Default 50.
    pub new_sessions_per_s: u32,
    /// New Sessions decrypted in a burst. Default 200.
    pub new_sessions_burst: u32,
    /// What may be decrypted while the processor keeps up, in percent of that rate, from what other destinations leave.
    /// Default 4,000.
    pub pace_percent: u32,
    /// Ephemeral keys remembered against replays; beyond, the oldest goes. Default 20,000.
    pub replay_entries: usize,
    /// Most messages in flight beyond what the remote is known to have received. Default 160, the window of Java.
    pub in_flight: u16,
    /// Tags that a session listens for ahead of the newest message, at its begin. Default 64.
    pub tags_at_first: u32,
    /// The same once many messages have come. Default 1,024.
    pub tags_ahead: u32,
    /// How far behind the newest message a tag is still honoured. Default 512.
    pub tags_behind: u32,
    /// Cloves read from one message. Default 64.
    pub cloves: usize,
    /// Index at which we start a Diffie-Hellman step. Default 16,384.
    pub ratchet_after: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 2048,
            tags: 65_536,
            reply_tags: 256,
            pending_per_remote: 24,
            held_per_remote: 24,
            new_sessions_per_s: 50,
            new_sessions_burst: 200,
            pace_percent: 4_000,
            tags_at_first: 64,
            tags_ahead: 1024,
            tags_behind: 512,
            cloves: 64,
            replay_entries: 20_000,
            in_flight: 160,
            ratchet_after: 16_384,
        }
    }
}
