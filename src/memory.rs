//! The memory that decoding may use, derived from the limits of the process.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Upper bound of the budget.
const MAX_BUDGET: u64 = 4 << 30;
/// Used when no limit can be read, as on systems other than Linux.
const DEFAULT_BUDGET: u64 = 1 << 30;

/// The memory for decoding in bytes: a quarter of what the process may use, at most 4 GiB.
pub(crate) fn decoding_budget() -> u64 {
    let read = |path: &str| read_to_string(path).unwrap_or_default();
    let limits = [
        physical_memory(&read("/proc/meminfo")),
        cgroup_limit(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup")),
        address_space_limit(&read("/proc/self/limits")),
    ];
    limits.into_iter().flatten().min().map_or(DEFAULT_BUDGET, |bytes| (bytes / 4).min(MAX_BUDGET))
}

/// Bytes of physical memory, from the text of `/proc/meminfo`.
fn physical_memory(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// The soft limit of the address space (`ulimit -v`) in bytes, from the text of `/proc/self/limits`. `None` if it is
/// unlimited.
fn address_space_limit(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// The smallest memory limit in bytes of the control groups (v1 and v2) that contain this process. Containers and
/// services set one. `root` is the mount point, `membership` the text of `/proc/self/cgroup`.
///
/// A limit of a parent group applies too, so all ancestors are read. In a container the path may be that of the host
/// while the container's own group is mounted at `root`; the ancestors include `root` for this case.
fn cgroup_limit(root: &Path, membership: &str) -> Option<u64> {
    let limit_file = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some((root.to_owned(), PathBuf::from(group), "memory.max")),
            "memory" => Some((root.join("memory"), PathBuf::from(group), "memory.limit_in_bytes")),
            _ => None,
        }
    };
    let limits = membership.lines().filter_map(limit_file).flat_map(|(root, group, name)| {
        let paths: Vec<PathBuf> = group.ancestors().map(|ancestor| root.join(ancestor).join(name)).collect();
        paths.into_iter().filter_map(|path| read_to_string(path).ok()?.trim().parse::<u64>().ok())
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(physical_memory("MemTotal:       24553448 kB\nMemFree: 1 kB\n"), Some(24_553_448 * 1024));
        assert_eq!(physical_memory(""), None);
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax address space         2048000000           unlimited            bytes\n";
        assert_eq!(address_space_limit(limits), Some(2_048_000_000));
        assert_eq!(address_space_limit(&limits.replace("2048000000", "unlimited")), None);
    }

    #[test]
    fn the_least_limit_of_the_groups_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write_file = |path: &str, text: &str| {
            let write = |out: &mut (dyn std::io::Write + Send)| out.write_all(text.as_bytes());
            crate::store::replace_file(&dir.path().join(path), write).unwrap();
        };
        write_file("a/memory.max", "1000\n");
        write_file("a/b/memory.max", "max\n");
        assert_eq!(cgroup_limit(dir.path(), "0::/a/b\n"), Some(1000));
        assert_eq!(cgroup_limit(dir.path(), "0::/elsewhere\n"), None);
        // In a container the path of the group may be that of the host, and the limit is then at the root.
        write_file("memory.max", "700\n");
        assert_eq!(cgroup_limit(dir.path(), "0::/docker/12ab\n"), Some(700));
        write_file("memory/x/memory.limit_in_bytes", "500\n");
        assert_eq!(cgroup_limit(dir.path(), "5:cpu,cpuacct:/x\n4:memory:/x\n"), Some(500));
    }
}
