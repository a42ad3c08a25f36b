//! The command line: what is printed where, and the exit codes.

use std::process::Stdio;

use crate::sandbox::{Sandbox, encoded, picture, put};
use image::ImageFormat;
use tsne_grid::stage::Stage;

#[test]
fn results_go_to_stdout_and_the_rest_to_stderr() {
    let sandbox = Sandbox::with_photos(6);
    let common = "photos --model scattering";
    for stage in Stage::ALL.map(Stage::name) {
        let path = sandbox.ok(&format!("{stage} {common}"));
        assert_eq!(path.lines().count(), 1, "{path}");
        assert!(path.starts_with(&format!("cache/{stage}/")) && path.ends_with(".parquet\n"), "{path}");
        assert!(sandbox.path(path.trim_end()).is_file());
    }
    assert_eq!(sandbox.ok(&format!("run {common} -o a.png -q")), "a.png\n");
    let quiet = sandbox.run(&format!("run {common} -o b.png --quiet"));
    assert_eq!(quiet.stderr, "");
    let json = sandbox.json(&format!("run {common} -o a.png"));
    assert_eq!(json["output"], "a.png");
    assert_eq!(json["counts"]["pictures"], 6);
    assert!(json["assign"]["facts"]["cost"].is_number());
}

#[test]
fn artifacts_can_be_put_at_a_fixed_place_for_make() {
    let sandbox = Sandbox::with_photos(6);
    let line = "assign photos --model scattering --artifact out/cells.parquet";
    sandbox.ok(line);
    let modified = || std::fs::metadata(sandbox.path("out/cells.parquet")).unwrap().modified().unwrap();
    let before = modified();
    sandbox.ok(line);
    assert_eq!(modified(), before, "touched only if the bytes changed");
    sandbox.ok(&format!("{line} --grid 9x9"));
    assert_ne!(modified(), before);
    assert_eq!(sandbox.read("out/cells.parquet"), sandbox.read("cache/latest/assign.parquet"));
}

#[test]
fn a_sample_replaces_only_a_sample() {
    let sandbox = Sandbox::new();
    sandbox.ok("sample export --images 12");
    sandbox.ok("sample export --images 5");
    let pictures = walkdir::WalkDir::new(sandbox.path("export/media"));
    let pictures = pictures.into_iter().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|s| s == "jpg"));
    assert_eq!(pictures.count(), 5);
    sandbox.put("mine/your_instagram_activity/media/posts_1.json", b"[]");
    let ran = sandbox.run("sample mine");
    assert!(ran.code == 1 && ran.stderr.contains("holds no sample"), "{}", ran.stderr);
    assert_eq!(sandbox.read("mine/your_instagram_activity/media/posts_1.json"), b"[]");
}

#[test]
fn usage_mistakes_exit_with_2() {
    let sandbox = Sandbox::with_photos(2);
    let cases = [
        ("run photos -o grid.gif", "render.output is grid.gif; its suffix has to be .jpg, .png, .webp or .dzi"),
        ("run photos --cell 0", "render.cell is 0; it can be 1 to 4096"),
        ("run photos --grid 0x3", "columns x rows, such as 40x30"),
        ("run photos --perplexity nan", "project.perplexity is NaN"),
        ("run photos --threads 0", "--threads is 0; it can be 1 to 1024"),
        ("run photos --model vgg19", "possible values: vgg16, clip-vit-base-patch32"),
        ("run photos --config none.toml", "cannot read none.toml"),
        ("run photos --repo me/mine", "embed.sha256 is pinned for timm/vgg16.tv_in1k"),
        ("export table.xlsx", "must end in .parquet, .csv or .npy"),
        ("fly", "unrecognized subcommand"),
        ("project --input a.parquet --dry-run", "cannot be used with"),
    ];
    for (line, expected) in cases {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{line}: {}", ran.stderr);
        assert!(ran.stdout.is_empty());
    }
}

#[test]
fn settings_come_from_the_file_and_flags_go_over_them() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.put(
        "pipeline.toml",
        b"[embed]\nmodel = \"scattering\"\n[render]\noutput = \"a.png\"\ncell = 10\n[source]\npaths = [\"photos\"]\n",
    );
    sandbox.ok("run");
    assert_eq!(image::open(sandbox.path("a.png")).unwrap().width(), 20);
    sandbox.ok("run --cell 12 -o b.png");
    assert_eq!(image::open(sandbox.path("b.png")).unwrap().width(), 24);
    sandbox.put("pipeline.toml", b"[render]\ncells = 10\n");
    let ran = sandbox.run("run");
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("line 2, column 1") && ran.stderr.contains("`cells`"), "{}", ran.stderr);
}

#[test]
fn strict_runs_finish_and_exit_with_3() {
    let sandbox = Sandbox::with_photos(5);
    let jpeg = encoded(&picture(7), ImageFormat::Jpeg);
    sandbox.put("photos/cut.jpg", &jpeg[..jpeg.len() - 20]);
    sandbox.put("photos/readme.txt", b"not a picture, and no defect");
    let line = "run photos --model scattering -o a.png";
    let lenient = sandbox.run(line);
    assert!(lenient.code == 0 && lenient.stderr.contains("1 damaged"), "{}", lenient.stderr);
    assert_eq!(sandbox.assigned().len(), 6);
    let strict = sandbox.run(&format!("{line} --strict"));
    assert_eq!((strict.code, strict.stdout.as_str()), (3, "a.png\n"));
    assert!(strict.stderr.contains("skipped cut.jpg"), "{}", strict.stderr);
    assert!(strict.stderr.contains("exit code 3: 1 defective input (--strict)"), "{}", strict.stderr);
    assert_eq!(sandbox.assigned().len(), 5);
    std::fs::remove_file(sandbox.path("photos/cut.jpg")).unwrap();
    assert_eq!(sandbox.run(&format!("{line} --strict")).code, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_stdout_is_no_panic() {
    let sandbox = Sandbox::with_photos(1);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox.command("man").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
    let mut child = sandbox.command("man").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn completions_and_the_manual_page_come_from_the_command_line() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(sandbox.ok(&format!("completions {shell}")).contains("perplexity"), "{shell}");
    }
    assert!(sandbox.ok("man").contains(".TH tsne"));
    assert!(sandbox.ok("embed --help").contains("--layer"));
    assert!(sandbox.ok("--version").starts_with("tsne-grid "));
}

#[test]
fn the_demo_needs_nothing_and_a_second_one_does_nothing() {
    let sandbox = Sandbox::new();
    let first = sandbox.run("demo --images 40");
    assert_eq!((first.code, first.stdout.as_str()), (0, "tsne-grid-demo/grid.jpg\n"), "{}", first.stderr);
    let second = sandbox.run("demo --images 40");
    assert!(
        second.stderr.contains("nothing to do: 34 pictures") && second.stderr.matches("file://").count() == 2,
        "{}",
        second.stderr
    );
    assert_eq!(image::open(sandbox.path("tsne-grid-demo/grid.jpg")).unwrap().height() % 64, 0);
}

#[test]
fn exports_have_a_row_for_every_input() {
    let sandbox = Sandbox::with_photos(6);
    sandbox.put("photos/twice.png", &sandbox.read("photos/000.png"));
    assert!(sandbox.run("export a.csv").stderr.contains("run first"));
    sandbox.ok("run photos --model scattering -o a.png");
    sandbox.ok("export a.csv");
    let csv = String::from_utf8(sandbox.read("a.csv")).unwrap();
    assert_eq!(
        csv.lines().next(),
        Some("path,source,image,kind,taken_at,taken_from,taken_precision,caption,x,y,row,col")
    );
    assert_eq!(csv.lines().count(), 8);
    sandbox.ok("export a.parquet --vector");
    let table = tsne_grid::artifact::read_table(sandbox.read("a.parquet")).unwrap();
    assert_eq!((table.num_rows(), table.num_columns()), (7, 13));
    for (flag, columns, size) in [("", 4, 8), ("--vector", 1149, 4)] {
        sandbox.ok(&format!("export a.npy {flag}"));
        let npy = sandbox.read("a.npy");
        assert!(npy.starts_with(b"\x93NUMPY\x01\x00"));
        assert!(String::from_utf8_lossy(&npy[..128]).contains(&format!("(7, {columns})")));
        let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
        assert_eq!((header % 64, npy.len() - header), (0, 7 * columns * size));
    }
    assert_eq!(sandbox.run("export b.csv --vector").code, 2);
}

#[test]
fn the_programs_own_files_are_no_inputs() {
    let sandbox = Sandbox::with_photos(4);
    let line = "run . --model scattering -o wall.png";
    sandbox.ok(line);
    let pictures = sandbox.json(line)["counts"]["pictures"].clone();
    assert_eq!(pictures, 4, "neither the cache's thumbnails nor the picture itself");
    put(&sandbox.path("other.png"), &sandbox.read("wall.png"));
    assert_eq!(sandbox.json(line)["counts"]["pictures"], 5);
}
