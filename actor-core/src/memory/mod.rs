//! Memory with a home: one arena per NUMA node, recycled blocks.
