# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stepaudio_global_optspecs
    string join \n models= device= dtype= seed= socket= no-daemon timeout= gpu-wait= json q/quiet v/verbose color= h/help V/version
end

function __fish_stepaudio_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stepaudio_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stepaudio_using_subcommand
    set -l cmd (__fish_stepaudio_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stepaudio -n "__fish_stepaudio_needs_command" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s V -l version -d 'Print version'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "transcribe" -d 'Write down what recordings say: text, subtitles, tables or JSON'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "gpu" -d 'Show where the models are, and give their memory back'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "gpu-status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "serve" -d 'Keep the models ready between commands, and give their memory back when nobody speaks'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice -d 'Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice-text -d 'What the recording says; transcribed when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s o -l output -d 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l asr -d 'Who transcribes [default: whisper]' -r -f -a "whisper\t'A Whisper model: about a hundred languages'
paraformer\t'The Paraformer of Step-Audio-Tokenizer: Mandarin, Cantonese and English, no further download'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l asr-model -d 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l language -d 'Code of the spoken language, such as en or zh; found by the model when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l format -d 'Format of the result when the name does not tell it [default for -: wav]' -r -f -a "wav\t'RIFF WAVE, 16-bit PCM'
flac\t'FLAC, 16 bit'
pcm\t'Bare little-endian 16-bit samples'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l temperature -d 'Softmax temperature; 0 takes the likeliest token each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l top-k -d 'Draw from this many of the likeliest tokens; 0 means all' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l max-length -d 'Longest sequence in tokens, prompt included (41.7 tokens are a second)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l force -d 'Replace the result if it exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l emotion -d 'Speak with this emotion; `remove` takes emotion away' -r -f -a "happy\t''
angry\t''
sad\t''
humour\t''
confusion\t''
disgusted\t''
empathy\t''
embarrass\t''
fear\t''
surprised\t''
excited\t''
depressed\t''
coldness\t''
admiration\t''
remove\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l style -d 'Speak in this style; `remove` takes any style away' -r -f -a "serious\t''
arrogant\t''
child\t''
older\t''
girl\t''
pure\t''
sister\t''
sweet\t''
ethereal\t''
whisper\t''
gentle\t''
recite\t''
generous\t''
act_coy\t''
warm\t''
shy\t''
comfort\t''
authority\t''
chat\t''
radio\t''
soulful\t''
story\t''
vivid\t''
program\t''
news\t''
advertising\t''
roar\t''
murmur\t''
shout\t''
deeply\t''
loudly\t''
remove\t''
exaggerated\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l speed -d 'Speak faster or slower' -r -f -a "faster\t''
slower\t''
more faster\t''
more slower\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l paralinguistic -d 'Add the sounds that stand in this text as tags: [Breathing] [Laughter] [Surprise-oh] [Confirmation-en] [Uhm] [Surprise-ah] [Surprise-wa] [Sigh] [Question-ei] [Dissatisfaction-hnn]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l text -d 'What the recording says; transcribed when an edit needs it and it is not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l repeat -d 'Apply all edits this often; the effect grows each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s o -l output -d 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l out-dir -d 'Folder for the results of several recordings, each named like its recording' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l asr -d 'Who transcribes [default: whisper]' -r -f -a "whisper\t'A Whisper model: about a hundred languages'
paraformer\t'The Paraformer of Step-Audio-Tokenizer: Mandarin, Cantonese and English, no further download'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l asr-model -d 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l language -d 'Code of the spoken language, such as en or zh; found by the model when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l format -d 'Format of the result when the name does not tell it [default for -: wav]' -r -f -a "wav\t'RIFF WAVE, 16-bit PCM'
flac\t'FLAC, 16 bit'
pcm\t'Bare little-endian 16-bit samples'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l temperature -d 'Softmax temperature; 0 takes the likeliest token each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l top-k -d 'Draw from this many of the likeliest tokens; 0 means all' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l max-length -d 'Longest sequence in tokens, prompt included (41.7 tokens are a second)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l denoise -d 'Remove noise'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l vad -d 'Remove silent parts'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l keep-steps -d 'Keep the result of every step beside the output (out.1-denoise.wav, …)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l force -d 'Replace the result if it exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s f -l format -d 'How to write the transcript [default: the ending of `-o`, else txt]' -r -f -a "txt\t'The words, one line for each segment'
srt\t'SubRip subtitles'
vtt\t'WebVTT subtitles'
json\t'Everything that is known: segments, language, confidence, duration, model'
tsv\t'A table of start and end in milliseconds and text, parted by tabs'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l timestamps -d 'What gets a time: whole segments or each word' -r -f -a "segment\t''
word\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l task -d 'Write what is said in its language, or in English' -r -f -a "transcribe\t''
translate\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s o -l output -d 'File of the result, or the folder for the results of several recordings [default: stdout]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l asr -d 'Who transcribes [default: whisper]' -r -f -a "whisper\t'A Whisper model: about a hundred languages'
paraformer\t'The Paraformer of Step-Audio-Tokenizer: Mandarin, Cantonese and English, no further download'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l asr-model -d 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l language -d 'Code of the spoken language, such as en or zh; found by the model when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l initial-prompt -d 'Names and words that may occur, or the text before the recording' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l beams -d 'Texts that Whisper writes side by side before it keeps the best; slower, sometimes better' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s r -l recursive -d 'Look into the folders below folders'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l skip-existing -d 'Leave out recordings whose result exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l force -d 'Replace results that exist'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l no-fallback -d 'Keep the first text of each 30 seconds even if it repeats itself or is unlikely'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l carry -d 'Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -f -a "status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -f -a "unload" -d 'Take the models from the device; the next task brings them back from the memory of the host'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -f -a "release" -d 'Give all memory back, that of the host too, and check that it is gone'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l watch -d 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l wait -d 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l force -d 'Cancel the task that uses the models'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l wait -d 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l force -d 'Cancel the task that uses the models'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from help" -f -a "unload" -d 'Take the models from the device; the next task brings them back from the memory of the host'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from help" -f -a "release" -d 'Give all memory back, that of the host too, and check that it is gone'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l watch -d 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l idle-timeout -d 'Take the models from the device after this long without a task (`600`, `10m`, `never`)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l release-timeout -d 'Give the memory of their files back too, this long after that' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l residency -d 'How long the models stay on the device' -r -f -a "task\t'Until the command is done'
idle\t'Until the idle timeout'
always\t'Until they are unloaded by hand'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l queue -d 'Tasks that may wait; further ones are refused' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l stall-timeout -d 'End a task that makes no progress for this long' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l set -d 'Change a setting of the daemon that runs: idle-timeout, release-timeout or residency; may be repeated' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l detach -d 'Run in the background; returns once the daemon answers'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l stop -d 'End the daemon that runs, after the tasks that it has'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l force -d 'With --stop: end it at once'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l golden -d 'Folder of golden data to compare with, on the checkpoint in `--models`' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l stage -d 'Only this stage of the golden data' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l timeout -d 'Give up a task that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "transcribe" -d 'Write down what recordings say: text, subtitles, tables or JSON'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "gpu" -d 'Show where the models are, and give their memory back'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "gpu-status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "serve" -d 'Keep the models ready between commands, and give their memory back when nobody speaks'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe gpu gpu-status serve doctor completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "unload" -d 'Take the models from the device; the next task brings them back from the memory of the host'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "release" -d 'Give all memory back, that of the host too, and check that it is gone'
