//! What the machine looks like: CPUs, NUMA nodes, distances; and where workers go.
