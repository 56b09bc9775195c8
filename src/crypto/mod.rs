// SPDX-License-Identifier: MIT
//! Typed cryptography and proofs that checks were made.
