// SPDX-License-Identifier: MIT
//! Samovar: an embeddable I2P router with the SAMv3 bridge as its front door.

pub mod base;
pub mod crypto;
pub mod destination;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod garlic;
pub mod names;
pub mod netdb;
pub mod router;
pub mod sam;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stream;
pub mod transport;
pub mod tunnel;
pub mod wire;
