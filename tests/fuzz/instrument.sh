#!/usr/bin/env bash
# A RUSTC_WRAPPER that compiles tsne-grid and the fuzz targets with coverage counters. tests/fuzz/run.sh sets it.
rustc=$1
shift
case " $* " in
  *" --crate-name tsne_grid "*|*" --crate-name exports "*|*" --crate-name dates "*|*" --crate-name decode "*)
    set -- "$@" --cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Ccodegen-units=1 \
      -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares ;;
esac
exec "$rustc" "$@"
