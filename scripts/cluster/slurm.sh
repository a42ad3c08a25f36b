#!/usr/bin/env bash
# An array job that embeds shards: sbatch scripts/cluster/slurm.sh
# Before: tsne-grid list /data/pictures --artifact /data/list.parquet
# After:  tsne-grid run --list /data/list.parquet --shards /data/shards
# A task that is requeued continues. LIST, PLACE and FLAGS change the list, the place of the shards, and add flags.
#SBATCH --job-name=tsne-grid
#SBATCH --array=0-255
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --requeue
set -euo pipefail
exec tsne-grid embed --list "${LIST:-/data/list.parquet}" --shard auto --out "${PLACE:-/data/shards}" \
  --threads "${SLURM_CPUS_PER_TASK:-4}" ${FLAGS:-}
