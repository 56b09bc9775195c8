// SPDX-License-Identifier: MIT
//! Tunnels: how they are built, kept and run.
//!
//! [`plane`] carries every message through every tunnel that touches this router, ours and others'; [`build`]
//! makes tunnels, answers the build requests of others and keeps the pools full. The two share only [`types`].
//! [`task`] runs the plane.

pub mod build;
pub mod plane;
pub mod task;
pub mod types;

pub use types::{
    Class, Delivery, HopKeys, InboundTunnel, Install, NextHop, OutboundTunnel, PoolConfig, PoolId, PoolSide,
    PoolState, TunnelConfig, TunnelKey,
};
