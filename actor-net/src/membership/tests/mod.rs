//! Tests of membership: its parts by tables, the machine in simulated clusters.

mod cluster;
mod downing;
mod laws;
mod machine;
mod packets;
mod suspicion;
