#!/usr/bin/env bash
# As RUSTC_WRAPPER: has the crates that are fuzzed report the edges that they take.
rustc=$1
shift
case " $* " in
  *" --crate-name tsne_grid "*|*" --crate-name exports "*|*" --crate-name dates "*|*" --crate-name decode "*)
    set -- "$@" --cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Ccodegen-units=1 \
      -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
      -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares ;;
esac
exec "$rustc" "$@"
