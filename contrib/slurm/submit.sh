#!/usr/bin/env bash
# Shares a batch out among the tasks of a job array and merges the results when all have ended. Run it on a login node:
#   submit.sh MANIFEST OUT_DIR TASKS [options of sbatch for the array, such as --gres=gpu:1 --time=8:00:00]
# The manifest, its recordings, OUT_DIR and the models must be seen by all nodes. Prints the ids of both jobs.
set -euo pipefail
if (($# < 3)) || ! [[ $3 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
manifest=$(realpath "$1") out_dir=$(realpath -m "$2") tasks=$3
# A mistake in the manifest shows here and not in every task. Login nodes seldom have a GPU.
STEPAUDIO_DEVICE=cpu "${STEPAUDIO:-stepaudio}" batch "$manifest" --out-dir "$out_dir" --resume --dry-run
array=$(sbatch --parsable --array="0-$((tasks - 1))" "${@:4}" "$here/array.sbatch" "$manifest" "$out_dir")
merge=$(sbatch --parsable --dependency="afterany:$array" "$here/merge.sbatch" "$manifest" "$out_dir")
echo "array $array"
echo "merge $merge"
