
use builtin;
use str;

set edit:completion:arg-completer[stepaudio] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'stepaudio'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'stepaudio'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand clone 'Say new words in the voice of a recording'
            cand edit 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
            cand transcribe 'Write down what recordings say: text, subtitles, tables or JSON'
            cand gpu 'Show where the models are, and give their memory back'
            cand gpu-status 'Show the models of the daemon, their memory and the GPUs'
            cand serve 'Keep the models ready between commands, and give their memory back when nobody speaks'
            cand doctor 'Check the device, the memory and the checkpoint'
            cand completions 'Print the completion script of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;clone'= {
            cand --voice 'Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin'
            cand --voice-text 'What the recording says; transcribed when not given'
            cand -o 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --output 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --asr 'Who transcribes [default: whisper]'
            cand --asr-model 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]'
            cand --language 'Code of the spoken language, such as en or zh; found by the model when not given'
            cand --format 'Format of the result when the name does not tell it [default for -: wav]'
            cand --temperature 'Softmax temperature; 0 takes the likeliest token each time'
            cand --top-k 'Draw from this many of the likeliest tokens; 0 means all'
            cand --max-length 'Longest sequence in tokens, prompt included (41.7 tokens are a second)'
            cand --retries 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often'
            cand --layout 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --force 'Replace the result if it exists'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;edit'= {
            cand --emotion 'Speak with this emotion; `remove` takes emotion away'
            cand --style 'Speak in this style; `remove` takes any style away'
            cand --speed 'Speak faster or slower'
            cand --paralinguistic 'Add the sounds that stand in this text as tags: [Breathing] [Laughter] [Surprise-oh] [Confirmation-en] [Uhm] [Surprise-ah] [Surprise-wa] [Sigh] [Question-ei] [Dissatisfaction-hnn]'
            cand --text 'What the recording says; transcribed when an edit needs it and it is not given'
            cand --repeat 'Apply all edits this often; the effect grows each time'
            cand -o 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --output 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --out-dir 'Folder for the results of several recordings, each named like its recording'
            cand --asr 'Who transcribes [default: whisper]'
            cand --asr-model 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]'
            cand --language 'Code of the spoken language, such as en or zh; found by the model when not given'
            cand --format 'Format of the result when the name does not tell it [default for -: wav]'
            cand --temperature 'Softmax temperature; 0 takes the likeliest token each time'
            cand --top-k 'Draw from this many of the likeliest tokens; 0 means all'
            cand --max-length 'Longest sequence in tokens, prompt included (41.7 tokens are a second)'
            cand --retries 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often'
            cand --layout 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --denoise 'Remove noise'
            cand --vad 'Remove silent parts'
            cand --keep-steps 'Keep the result of every step beside the output (out.1-denoise.wav, …)'
            cand --force 'Replace the result if it exists'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;transcribe'= {
            cand -f 'How to write the transcript [default: the ending of `-o`, else txt]'
            cand --format 'How to write the transcript [default: the ending of `-o`, else txt]'
            cand --timestamps 'What gets a time: whole segments or each word'
            cand --task 'Write what is said in its language, or in English'
            cand -o 'File of the result, or the folder for the results of several recordings [default: stdout]'
            cand --output 'File of the result, or the folder for the results of several recordings [default: stdout]'
            cand --asr 'Who transcribes [default: whisper]'
            cand --asr-model 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]'
            cand --language 'Code of the spoken language, such as en or zh; found by the model when not given'
            cand --initial-prompt 'Names and words that may occur, or the text before the recording'
            cand --beams 'Texts that Whisper writes side by side before it keeps the best; slower, sometimes better'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand -r 'Look into the folders below folders'
            cand --recursive 'Look into the folders below folders'
            cand --skip-existing 'Leave out recordings whose result exists'
            cand --force 'Replace results that exist'
            cand --no-fallback 'Keep the first text of each 30 seconds even if it repeats itself or is unlikely'
            cand --carry 'Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;gpu'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand status 'Show the models of the daemon, their memory and the GPUs'
            cand unload 'Take the models from the device; the next task brings them back from the memory of the host'
            cand release 'Give all memory back, that of the host too, and check that it is gone'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;gpu;status'= {
            cand --watch 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;gpu;unload'= {
            cand --wait 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --force 'Cancel the task that uses the models'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;gpu;release'= {
            cand --wait 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --force 'Cancel the task that uses the models'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;gpu;help'= {
            cand status 'Show the models of the daemon, their memory and the GPUs'
            cand unload 'Take the models from the device; the next task brings them back from the memory of the host'
            cand release 'Give all memory back, that of the host too, and check that it is gone'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;gpu;help;status'= {
        }
        &'stepaudio;gpu;help;unload'= {
        }
        &'stepaudio;gpu;help;release'= {
        }
        &'stepaudio;gpu;help;help'= {
        }
        &'stepaudio;gpu-status'= {
            cand --watch 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;serve'= {
            cand --idle-timeout 'Take the models from the device after this long without a task (`600`, `10m`, `never`)'
            cand --release-timeout 'Give the memory of their files back too, this long after that'
            cand --residency 'How long the models stay on the device'
            cand --queue 'Tasks that may wait; further ones are refused'
            cand --stall-timeout 'End a task that makes no progress for this long'
            cand --set 'Change a setting of the daemon that runs: idle-timeout, release-timeout or residency; may be repeated'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --detach 'Run in the background; returns once the daemon answers'
            cand --stop 'End the daemon that runs, after the tasks that it has'
            cand --force 'With --stop: end it at once'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;doctor'= {
            cand --golden 'Folder of golden data to compare with, on the checkpoint in `--models`'
            cand --stage 'Only this stage of the golden data'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;completions'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --socket 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]'
            cand --timeout 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts'
            cand --gpu-wait 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started'
            cand --color 'When to use colours'
            cand --no-daemon 'Run in this process even if a daemon runs'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;help'= {
            cand clone 'Say new words in the voice of a recording'
            cand edit 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
            cand transcribe 'Write down what recordings say: text, subtitles, tables or JSON'
            cand gpu 'Show where the models are, and give their memory back'
            cand gpu-status 'Show the models of the daemon, their memory and the GPUs'
            cand serve 'Keep the models ready between commands, and give their memory back when nobody speaks'
            cand doctor 'Check the device, the memory and the checkpoint'
            cand completions 'Print the completion script of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;help;clone'= {
        }
        &'stepaudio;help;edit'= {
        }
        &'stepaudio;help;transcribe'= {
        }
        &'stepaudio;help;gpu'= {
            cand status 'Show the models of the daemon, their memory and the GPUs'
            cand unload 'Take the models from the device; the next task brings them back from the memory of the host'
            cand release 'Give all memory back, that of the host too, and check that it is gone'
        }
        &'stepaudio;help;gpu;status'= {
        }
        &'stepaudio;help;gpu;unload'= {
        }
        &'stepaudio;help;gpu;release'= {
        }
        &'stepaudio;help;gpu-status'= {
        }
        &'stepaudio;help;serve'= {
        }
        &'stepaudio;help;doctor'= {
        }
        &'stepaudio;help;completions'= {
        }
        &'stepaudio;help;help'= {
        }
    ]
    $completions[$command]
}
