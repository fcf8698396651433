# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stepaudio_global_optspecs
    string join \n models= device= dtype= seed= socket= no-daemon timeout= gpu-wait= no-cache refresh cache-size= cache-results json q/quiet v/verbose color= h/help V/version
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
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s V -l version -d 'Print version'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "transcribe" -d 'Write down what recordings say: text, subtitles, tables or JSON'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "batch" -d 'Do the jobs that a manifest lists: clone, edit and transcribe'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "voices" -d 'Keep voices under a name, for `stepaudio clone --voice NAME`'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "gpu" -d 'Show where the models are, and give their memory back'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "gpu-status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "serve" -d 'Keep the models ready between commands, and give their memory back when nobody speaks'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "cache" -d 'Look at, check and empty what is kept of former runs'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l text-file -d 'Text file to say (UTF-8), or - for stdin' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice -d 'The voice: a recording of 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), - to read it from stdin, or the name of a stored voice. Letters, digits, - and _ are a name; anything with a dot or slash is a file (./ref)' -r -F -a "(stepaudio voices list --names 2>/dev/null)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice-text -d 'What the recording says; transcribed when not given. A stored voice knows it' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s o -l output -d 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l max-chars -d 'Longest part of a long text in characters [default: what takes about 20 seconds to say]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l pause -d 'Silence between two parts after a sentence; after a paragraph it is twice as long, within a sentence shorter' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l together -d 'Generate up to this many parts side by side: the same samples in less time, with more memory' -r
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l force -d 'Replace the result if it exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l text -d 'What the recording says; transcribed when an edit needs it and it is not given. A recording over 30 seconds is transcribed nevertheless (--asr), to find the words of each part' -r
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l denoise -d 'Remove noise'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l vad -d 'Remove silent parts'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l keep-steps -d 'Keep the result of every step beside the output (out.1-denoise.wav, …)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l force -d 'Replace the result if it exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s r -l recursive -d 'Look into the folders below folders'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l skip-existing -d 'Leave out recordings whose result exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l force -d 'Replace results that exist'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l no-fallback -d 'Keep the first text of each 30 seconds even if it repeats itself or is unlikely'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l carry -d 'Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand transcribe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l out-dir -d 'Folder of the results [default: the folder of the manifest]' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l shard -d 'Do share I of N, such as 2/8 [default in a Slurm job array: the share of the task]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l together -d 'Speak up to this many clones side by side: the same samples in less time, with more memory' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l resume -d 'Go on with a batch: leave out what is done'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l force -d 'Replace results that exist; without `--resume`, begin anew'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l dry-run -d 'Check everything and say what would be done'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l merge -d 'Do nothing but gather the results of all shards in results.jsonl, in the order of the manifest'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand batch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -f -a "add" -d 'Store a recording of a voice'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -f -a "list" -d 'List the stored voices: name, length, language, day, words'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -f -a "remove" -d 'Forget stored voices'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and not __fish_seen_subcommand_from add list remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l text -d 'What the recording says; transcribed when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l asr -d 'Who transcribes [default: whisper]' -r -f -a "whisper\t'A Whisper model: about a hundred languages'
paraformer\t'The Paraformer of Step-Audio-Tokenizer: Mandarin, Cantonese and English, no further download'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l asr-model -d 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l language -d 'Code of the spoken language, such as en or zh; found by the model when not given' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l force -d 'Replace a voice of that name'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l names -d 'Print the names only'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from help" -f -a "add" -d 'Store a recording of a voice'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the stored voices: name, length, language, day, words'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget stored voices'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and not __fish_seen_subcommand_from status unload release help" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from status" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l force -d 'Cancel the task that uses the models'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from unload" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l force -d 'Cancel the task that uses the models'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu; and __fish_seen_subcommand_from release" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand gpu-status" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l detach -d 'Run in the background; returns once the daemon answers'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l stop -d 'End the daemon that runs, after the tasks that it has'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l force -d 'With --stop: end it at once'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "stats" -d 'Count what is there and how often it was used'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "verify" -d 'Read everything, and drop what is damaged'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "prune" -d 'Drop what was not used for the longest time [default: down to --cache-size]'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "clear" -d 'Drop everything'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "path" -d 'Print the folder'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and not __fish_seen_subcommand_from stats verify prune clear path help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l to -d 'Down to this size, such as 500MB' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l older-than -d 'All that was not used for so long, such as 30d or 12h' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l weights -d 'Also the quantised weights, which hold nothing private and take minutes to make again'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from clear" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "stats" -d 'Count what is there and how often it was used'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Read everything, and drop what is damaged'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Drop what was not used for the longest time [default: down to --cache-size]'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "clear" -d 'Drop everything'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "path" -d 'Print the folder'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand cache; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l golden -d 'Folder of golden data to compare with, on the checkpoint in `--models`' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l stage -d 'Only this stage of the golden data' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l socket -d 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l timeout -d 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l gpu-wait -d 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l cache-size -d 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l no-daemon -d 'Run in this process even if a daemon runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l no-cache -d 'Neither use nor keep transcripts, voices and speech of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l refresh -d 'Compute everything anew, and keep it in place of what former runs kept'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l cache-results -d 'Keep finished speech too: the same command then costs nothing the next time'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "transcribe" -d 'Write down what recordings say: text, subtitles, tables or JSON'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "batch" -d 'Do the jobs that a manifest lists: clone, edit and transcribe'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "voices" -d 'Keep voices under a name, for `stepaudio clone --voice NAME`'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "gpu" -d 'Show where the models are, and give their memory back'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "gpu-status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "serve" -d 'Keep the models ready between commands, and give their memory back when nobody speaks'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "cache" -d 'Look at, check and empty what is kept of former runs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit transcribe batch voices gpu gpu-status serve cache doctor completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from voices" -f -a "add" -d 'Store a recording of a voice'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from voices" -f -a "list" -d 'List the stored voices: name, length, language, day, words'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from voices" -f -a "remove" -d 'Forget stored voices'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "status" -d 'Show the models of the daemon, their memory and the GPUs'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "unload" -d 'Take the models from the device; the next task brings them back from the memory of the host'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from gpu" -f -a "release" -d 'Give all memory back, that of the host too, and check that it is gone'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "stats" -d 'Count what is there and how often it was used'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "verify" -d 'Read everything, and drop what is damaged'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "prune" -d 'Drop what was not used for the longest time [default: down to --cache-size]'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "clear" -d 'Drop everything'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and __fish_seen_subcommand_from cache" -f -a "path" -d 'Print the folder'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand voices; and __fish_seen_subcommand_from remove" -f -a "(stepaudio voices list --names 2>/dev/null)"
