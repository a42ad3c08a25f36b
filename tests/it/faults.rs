//! Faults of the system: `strace` kills the program or makes the n-th call of a kind fail; small disks; limits. If a
//! machine cannot do that, a test prints a line that is not captured, and returns.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::sandbox::{BIN, Sandbox};

/// Prints a line that the test runner does not capture.
pub(crate) fn print_uncaptured(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn not_tested(why: &str) {
    print_uncaptured(&format!("NOT TESTED: {why}"));
}

/// Whether the program can be run under strace on this machine.
pub(crate) fn can_trace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let traced = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", BIN, "--version"]).output();
        let can = traced.is_ok_and(|output| output.status.success());
        if !can {
            not_tested("faults at system calls (strace is not here, or may not trace)");
        }
        can
    })
}

/// Whether file systems can be mounted, which only root may do.
pub(crate) fn can_mount() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let can = SmallDisk::mount(&dir.path().join("disk"), "64k").is_some();
        if !can {
            not_tested("full and read-only disks (mounting one needs the superuser)");
        }
        can
    })
}

impl Sandbox {
    /// The program under strace with these options.
    pub(crate) fn with_strace(&self, options: &[&str], line: &str) -> Command {
        self.wrapped(Command::new("strace").args(["-f", "-qq"]).args(options), line)
    }

    /// The program in a shell that sets limits first, such as `ulimit -f 40`.
    pub(crate) fn with_limits(&self, limits: &str, line: &str) -> Command {
        let script = format!("{limits}; exec \"$@\"");
        self.wrapped(Command::new("bash").args(["-c", &script, "limited"]), line)
    }

    /// The program as a user who owns nothing here, if the tests run as root; `None` otherwise. Permissions do not
    /// restrict root.
    pub(crate) fn as_nobody(&self, line: &str) -> Option<Command> {
        use std::os::unix::fs::PermissionsExt;
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let can = Command::new(nobody[0]).args(&nobody[1..]).arg("true").output();
        if !can.is_ok_and(|output| output.status.success()) {
            not_tested("what another user may (acting as one needs the superuser)");
            return None;
        }
        std::fs::set_permissions(self.path(""), PermissionsExt::from_mode(0o777)).unwrap();
        // Other users may not read the folder in which the program was built, so it is copied. `cp` copies it: if this
        // process wrote the copy, the child of another test could inherit the open file, and the program could not be
        // started ("text file busy").
        let program = self.path("tsne-grid");
        assert!(Command::new("cp").arg(BIN).arg(&program).status().unwrap().success());
        Some(self.started_by(Command::new(nobody[0]).args(&nobody[1..]), program.as_ref(), line))
    }

    /// Asserts that nothing in the cache is damaged, or that there is no cache yet.
    #[track_caller]
    pub(crate) fn assert_sound(&self, what: &str) {
        let verified = self.run("verify");
        assert!(verified.code == 0 || verified.stderr.contains("there is no cache"), "{what}: {}", verified.stderr);
    }

    fn wrapped(&self, wrapper: &Command, line: &str) -> Command {
        self.started_by(wrapper, BIN.as_ref(), line)
    }

    /// Starts `program`, with the environment of the sandbox and a command line, through another program.
    fn started_by(&self, wrapper: &Command, program: &Path, line: &str) -> Command {
        let inner = self.command(line);
        let mut command = Command::new(wrapper.get_program());
        command.args(wrapper.get_args()).arg(program).args(inner.get_args());
        command.current_dir(self.path("")).stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

/// A file system in memory, of a few kilobytes; unmounted on drop.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one at `path`, with a size as mount(8) accepts it; `None` if that is not allowed.
    pub(crate) fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={size},mode=755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }

    /// Changes its options: another size, `ro`, `rw`.
    #[track_caller]
    pub(crate) fn remount(&self, options: &str) {
        let output = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Sends a signal by its name, like kill(1).
#[track_caller]
pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// Pseudo-random numbers that are the same every time (xorshift).
pub(crate) struct TestRng(u64);

impl TestRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end.max(1)
    }
}
