#!/bin/sh
# A sweep in 3 shards as an array job of Slurm, and a job that merges them when all have ended. Run this with `sh`
# where the nodes see this folder. Lost shards, which the merge names, run again with their numbers: ARRAY=3,17 sh FILE
set -eu
array="${ARRAY:-1-3}"
mkdir -p -- reports/night
# At most 50 shards at once: append %50 to the array. A shard has a worker for each core of its task.
shards=$(sbatch --parsable --job-name=hikyaku-sweep --array="$array" --cpus-per-task=1 --requeue --output=reports/night/slurm-%A-%a.log <<'SHARD'
#!/bin/sh
# n is written out: of an array that runs again, SLURM_ARRAY_TASK_COUNT counts less.
shard="$SLURM_ARRAY_TASK_ID"
export HIKYAKU_JOBS="$SLURM_CPUS_PER_TASK"
exec hikyaku sweep --seeds 0..30 --out=reports/night --partition "slice:$shard/3" -- scenarios/quickstart.toml
SHARD
)
status=0
sbatch --wait --job-name=hikyaku-merge --dependency="afterany:${shards%%;*}" --output=reports/night/slurm-merge.log <<'MERGE' || status=$?
#!/bin/sh
exec hikyaku merge --junit=reports/night/junit.xml -- reports/night
MERGE
cat -- reports/night/slurm-merge.log
exit "$status"
