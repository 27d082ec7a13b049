#!/bin/sh
# All embedded models from nothing, each from the one before it; run it again to go on where it was stopped.
#
#     recipes/embedded.sh DATA RUNS [--set KEY=VALUE ...]
#
# DATA holds manifests/, audio/, noise/ and, of text for synthetic speech, text/*.txt.gz; DATA/synthetic and
# DATA/kw are made there with flite and espeak-ng where they are missing. The models come to
# RUNS/embedded. Settings that follow are given to every training: "--set steps=2" tries the whole way.
set -eu
data=$1
runs=$2
shift 2
recipes=$(dirname "$0")
python=${PYTHON:-python}

train() {
    recipe=$1
    init=$2
    shift 2
    [ "$init" = nothing ] || set -- --set "init=$init" "$@"
    "$python" -m sewcli train "$recipes/$recipe.toml" --data "$data" -o "$runs/$recipe" --skip-bad --resume "$@"
}

mean() {
    "$python" "$recipes/average.py" "$@"
}

if [ ! -e "$data/synthetic/manifest.jsonl" ]; then
    "$python" "$recipes/synthesise.py" "$data"/text/*.txt.gz -o "$data/synthetic" --hours 17
fi
if [ ! -e "$data/kw/manifest.jsonl" ]; then
    "$python" "$recipes/synthesise.py" "$recipes/keywords.txt" -o "$data/kw" --labels 120
fi

# nano: each step ends at a rate of zero; the next begins from the mean of it and the one before
train nano nothing "$@"
train nano-2 "$runs/nano/model" "$@"
mean "$runs/nano-2/model=0.5" "$runs/nano/model=0.5" -o "$runs/nano-2/mean"
train nano-3 "$runs/nano-2/mean" "$@"
mean "$runs/nano-3/model=0.7" "$runs/nano-2/model=0.3" -o "$runs/nano-3/mean"
train nano-4 "$runs/nano-3/mean" "$@"

# nano-d: the weights that both families share, then its own
train nano-d "$runs/nano/model" "$@"
train nano-d-2 "$runs/nano-d/model" "$@"

# nano-keywords: the encoder of nano
train nano-keywords "$runs/nano-3/mean" "$@"

mkdir -p "$runs/embedded"
for pair in nano=nano-4 nano-d=nano-d-2 nano-keywords=nano-keywords; do
    rm -rf "$runs/embedded/${pair%%=*}"
    cp -R "$runs/${pair#*=}/model" "$runs/embedded/${pair%%=*}"
done
echo "the models are in $runs/embedded"
