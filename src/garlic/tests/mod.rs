// SPDX-License-Identifier: MIT
mod pair;
mod vectors;
mod world;
