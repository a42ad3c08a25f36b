//! How much memory this process may use.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// More than this is never given to decoding.
const MOST: u64 = 4 << 30;
/// Where nothing is known.
const UNKNOWN: u64 = 1 << 30;

/// What decoding may take, in bytes: a quarter of what this process may use at all, at most 4 GiB.
pub(crate) fn for_decoding() -> u64 {
    let read = |path: &str| read_to_string(path).unwrap_or_default();
    let limits = [
        total(&read("/proc/meminfo")),
        control_group(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup")),
        address_space(&read("/proc/self/limits")),
    ];
    limits.into_iter().flatten().min().map_or(UNKNOWN, |bytes| (bytes / 4).min(MOST))
}

/// The machine's memory, of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(kilobytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// `ulimit -v`, of `/proc/self/limits`.
fn address_space(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max address space"))?.split_whitespace().next()?.parse().ok()
}

/// The least limit of the control groups that this process is in, as `/proc/self/cgroup` names them: containers and
/// services have one. A container may see its own group under `root` itself.
fn control_group(root: &Path, membership: &str) -> Option<u64> {
    let file = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some((root.to_owned(), PathBuf::from(group), "memory.max")),
            "memory" => Some((root.join("memory"), PathBuf::from(group), "memory.limit_in_bytes")),
            _ => None,
        }
    };
    let limits = membership.lines().filter_map(file).flat_map(|(root, group, name)| {
        let places: Vec<PathBuf> = group.ancestors().map(|above| root.join(above).join(name)).collect();
        places.into_iter().filter_map(|place| read_to_string(place).ok()?.trim().parse::<u64>().ok())
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(total("MemTotal:       24553448 kB\nMemFree: 1 kB\n"), Some(24_553_448 * 1024));
        assert_eq!(total(""), None);
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax address space         2048000000           unlimited            bytes\n";
        assert_eq!(address_space(limits), Some(2_048_000_000));
        assert_eq!(address_space(&limits.replace("2048000000", "unlimited")), None);
    }

    #[test]
    fn the_least_limit_of_the_groups_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let write = |out: &mut (dyn std::io::Write + Send)| out.write_all(text.as_bytes());
            crate::store::replace_file(&dir.path().join(path), write).unwrap();
        };
        put("a/memory.max", "1000\n");
        put("a/b/memory.max", "max\n");
        assert_eq!(control_group(dir.path(), "0::/a/b\n"), Some(1000));
        assert_eq!(control_group(dir.path(), "0::/elsewhere\n"), None);
        // In a container the group's path may be that of the host, and the limit at the root.
        put("memory.max", "700\n");
        assert_eq!(control_group(dir.path(), "0::/docker/12ab\n"), Some(700));
        put("memory/x/memory.limit_in_bytes", "500\n");
        assert_eq!(control_group(dir.path(), "5:cpu,cpuacct:/x\n4:memory:/x\n"), Some(500));
    }
}
