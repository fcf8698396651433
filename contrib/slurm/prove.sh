#!/usr/bin/env bash
# Proves the shares on a real Slurm of one node, started here and stopped at the end: a batch runs as a job array, two of its
# tasks die in the middle and are queued again, and the merged results must hold every item once.
#   prove.sh [PROGRAM [MODELS]]      needs root and the Debian packages slurmctld, slurmd, slurm-client and munge
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
export STEPAUDIO=$(realpath "${1:-$root/target/release/stepaudio}")
export STEPAUDIO_MODELS=$(realpath "${2:-$root/tests/data/checkpoint}") STEPAUDIO_DEVICE=cpu
readonly items=80 tasks=4
for program in munged slurmctld slurmd sbatch "$STEPAUDIO"; do
    command -v "$program" >/dev/null || { echo "\`$program\` is missing" >&2; exit 1; }
done

dir=$(mktemp -d) started=()
chmod 755 "$dir"
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT
# until_true SECONDS COMMAND…: waits for a condition.
until_true() {
    local end=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "waited in vain for: ${*:2}" >&2; tail -n 20 "$dir"/*.log >&2; exit 1; }
        sleep 0.1
    done
}

mkdir "$dir/state" "$dir/spool" "$dir/run" "$dir/work"
head -c 1024 /dev/urandom >"$dir/munge.key"
chmod 400 "$dir/munge.key"
munged --foreground --force --key-file="$dir/munge.key" --socket="$dir/run/munge" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" >"$dir/munged.out.log" 2>&1 &
started+=($!)
until_true 10 test -S "$dir/run/munge"

export SLURM_CONF=$dir/slurm.conf
cat >"$SLURM_CONF" <<END
ClusterName=proof
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge
CryptoType=crypto/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=2
MinJobAge=600
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
slurmctld -D -c >"$dir/slurmctld.out.log" 2>&1 &
started+=($!)
slurmd -D -N "$(hostname)" >"$dir/slurmd.out.log" 2>&1 &
started+=($!)
until_true 30 sinfo --noheader --states=idle --format=%D
until_true 30 sh -c 'sinfo --noheader --states=idle --format=%D | grep -q 1'

cd "$dir/work"
cp "$root/tests/data/audio/lighthouse.flac" voice.flac
for ((i = 1; i <= items; i++)); do
    printf '{"task": "clone", "text": "Item %d.", "voice": "voice.flac", "voice_text": "Words.", "seed": %d, "id": "item-%d"}\n' $i $i $i
done >jobs.jsonl

"$here/submit.sh" jobs.jsonl out $tasks >submitted
read -r _ array < <(grep array submitted)
read -r _ merge < <(grep merge submitted)
state() { scontrol show job "$1" --oneliner | grep -o 'JobState=[A-Z_]*' | cut -d= -f2; }
# Slurm lets what was queued again wait for two minutes; here it need not.
again() {
    scontrol requeue "$1"
    until_true 60 sh -c "scontrol show job $1 --oneliner | grep -q JobState=PENDING"
    scontrol update jobid="$1" starttime=now
}
lines() { cat "$@" 2>/dev/null | wc -l; }

# Two tasks die in the middle of their shares and are queued again: one is stopped by Slurm as for another job of higher
# priority, one loses its process without any warning, as when a node breaks down.
until_true 120 sh -c "test \$(cat out/results-2-of-$tasks.jsonl 2>/dev/null | wc -l) -ge 3"
stopped=$(lines "out/results-2-of-$tasks.jsonl")
again "${array}_1"
echo "task 2 of $tasks was stopped after $stopped of its items and queued again"
until_true 120 sh -c "test \$(cat out/results-3-of-$tasks.jsonl 2>/dev/null | wc -l) -ge 3"
job=$(scontrol show job "${array}_2" --oneliner | grep -o '^JobId=[0-9]*' | cut -d= -f2)
pid=$(scontrol listpids "$job" | awk 'NR > 1 && $1 > 0 { print $1; exit }')
kill -KILL "$pid"
killed=$(lines "out/results-3-of-$tasks.jsonl")
until_true 60 sh -c "scontrol show job $job --oneliner | grep -Eq 'JobState=(FAILED|NODE_FAIL|CANCELLED)'"
again "${array}_2"
echo "task 3 of $tasks was killed after $killed of its items and queued again"
until_true 400 sh -c "scontrol show job $merge --oneliner | grep -Eq 'JobState=(COMPLETED|FAILED|CANCELLED)'"
squeue --states=all --format="%.12i %.16j %.10T %.6r" || true
for ((i = 0; i < tasks; i++)); do
    restarts=$(scontrol show job "${array}_$i" --oneliner | grep -o 'Restarts=[0-9]*')
    echo "task $((i + 1)): $(state "${array}_$i"), $restarts, $(lines "out/results-$((i + 1))-of-$tasks.jsonl") results"
done
[[ $(state "$merge") == COMPLETED ]] || { cat stepaudio-*.log; echo "the merge failed" >&2; exit 1; }

check() { echo "$1: $2"; [[ $2 == "$3" ]] || { echo "expected $3" >&2; exit 1; }; }
((stopped < items / tasks && killed < items / tasks)) || { echo "the tasks died too late to prove anything" >&2; exit 1; }
check "records of all shares" "$(lines out/results-*-of-*.jsonl)" $items
check "different items in them" "$(cat out/results-*-of-*.jsonl | grep -o '"id":"[^"]*"' | sort -u | wc -l)" $items
check "done in the merged results" "$(grep -c '"status":"done"' out/results.jsonl)" $items
check "merged in the order of the manifest" "$(grep -o '^{"line":[0-9]*' out/results.jsonl | cut -d: -f2 | tr '\n' ' ')" "$(seq -s ' ' $items) "
check "sounds" "$(find out -name '*.wav' | wc -l)" $items
check "unfinished files" "$(find out -name '*.part' | wc -l)" 0
echo "nothing was lost, nothing was done twice"
