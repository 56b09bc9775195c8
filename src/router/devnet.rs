// SPDX-License-Identifier: MIT
//! A private network of real routers in one process, over loopback TCP: for demonstrations, for tests, for programs
//! that want to try themselves against I2P without the internet.
//!
//! Every router is a whole one with keys, port and tunnels of its own, all in memory; half of them are floodfills.
//! They get to know each other once, at the start, and belong to a network number of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{NotReady, Router, RouterConfig, Stage, StartError};
use crate::base::Rng;
use crate::tunnel::PoolConfig;

/// What the network shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevnetConfig {
    /// How many routers. Default 8. Tunnels of N hops need N + 1 routers.
    pub routers: usize,
    /// SAM bridges: the n-th is opened by the n-th router. Port 0 lets the system choose. Default none.
    pub sam: Vec<SocketAddr>,
    /// Hops of the routers' own tunnels. Default 1.
    pub hops: u8,
    /// Number of the network; `None` (default): random from 16 to 254.
    pub net_id: Option<u8>,
    /// Hosts files from which every router reads names. Default none.
    pub hosts: Vec<PathBuf>,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self { routers: 8, sam: Vec::new(), hops: 1, net_id: None, hosts: Vec::new() }
    }
}

/// A running network. Dropping it stops all routers at once; [`Devnet::shutdown`] does it in order.
#[derive(Debug)]
pub struct Devnet {
    routers: Vec<Router>,
    net_id: u8,
}

impl Devnet {
    /// Starts the routers on the caller's runtime and makes them known to each other.
    ///
    /// # Errors
    /// As the start of any router; no router is left running.
    pub async fn start(config: DevnetConfig) -> Result<Self, StartError> {
        let net_id = match config.net_id {
            Some(id) => id,
            None => random_net_id()?,
        };
        let mut routers = Vec::with_capacity(config.routers);
        for i in 0..config.routers {
            let router_config = RouterConfig {
                host: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
                net_id,
                test_network: true,
                floodfill: i % 2 == 0,
                sam: config.sam.get(i).copied(),
                hosts: config.hosts.clone(),
                exploratory: Some(PoolConfig::symmetric(config.hops, 2)),
                ..RouterConfig::default()
            };
            routers.push(Box::pin(Router::builder().config(router_config).start()).await?);
        }
        let infos: Vec<Vec<u8>> = routers.iter().map(|r| r.info().raw().to_vec()).collect();
        for router in &routers {
            router.load_routers(infos.clone()).await;
        }
        Ok(Self { routers, net_id })
    }

    /// The routers, in the order of their start.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// Number of the network.
    pub const fn net_id(&self) -> u8 {
        self.net_id
    }

    /// Addresses of the SAM bridges, in the order of the configuration.
    pub fn sam(&self) -> Vec<SocketAddr> {
        self.routers.iter().filter_map(Router::sam_addr).collect()
    }

    /// Waits until every router has tunnels of its own.
    ///
    /// # Errors
    /// When one has none after `limit`; the error says how far it got.
    pub async fn ready(&self, limit: Duration) -> Result<(), NotReady> {
        let all = async {
            for router in &self.routers {
                router.ready(Stage::Tunnels).await?;
            }
            Ok(())
        };
        match tokio::time::timeout(limit, all).await {
            Ok(result) => result,
            Err(_) => Err(NotReady { status: self.slowest() }),
        }
    }

    fn slowest(&self) -> super::Status {
        let states = self.routers.iter().map(|r| r.status().borrow().clone());
        states.min_by_key(|s| s.stage).unwrap_or_default()
    }

    /// Stops all routers in order, all at the same time.
    pub async fn shutdown(self) {
        let tasks = crate::base::Tasks::new();
        for router in self.routers {
            tasks.spawn_orderly("devnet shutdown", async move { router.shutdown().await });
        }
        tasks.finished().await;
    }
}

/// Private networks of several people on one machine should not meet.
fn random_net_id() -> Result<u8, StartError> {
    let mut rng = Rng::from_os().map_err(|e| StartError::Randomness(e.to_string()))?;
    Ok(u8::try_from(rng.between(16, 254)).unwrap_or(16))
}
