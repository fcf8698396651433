# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stepaudio_global_optspecs
    string join \n models= device= dtype= seed= json q/quiet v/verbose color= h/help V/version
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

complete -c stepaudio -n "__fish_stepaudio_needs_command" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`' -r -F
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_needs_command" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -s V -l version -d 'Print version'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice -d 'Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l voice-text -d 'What the recording says' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -s o -l output -d 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l format -d 'Format of the result when the name does not tell it [default for -: wav]' -r -f -a "wav\t'RIFF WAVE, 16-bit PCM'
flac\t'FLAC, 16 bit'
pcm\t'Bare little-endian 16-bit samples'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l temperature -d 'Softmax temperature; 0 takes the likeliest token each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l top-k -d 'Draw from this many of the likeliest tokens; 0 means all' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l max-length -d 'Longest sequence in tokens, prompt included (41.7 tokens are a second)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand clone" -l force -d 'Replace the result if it exists'
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
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l text -d 'What the recording says' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l repeat -d 'Apply all edits this often; the effect grows each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s o -l output -d 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l out-dir -d 'Folder for the results of several recordings, each named like its recording' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l format -d 'Format of the result when the name does not tell it [default for -: wav]' -r -f -a "wav\t'RIFF WAVE, 16-bit PCM'
flac\t'FLAC, 16 bit'
pcm\t'Bare little-endian 16-bit samples'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l temperature -d 'Softmax temperature; 0 takes the likeliest token each time' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l top-k -d 'Draw from this many of the likeliest tokens; 0 means all' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l max-length -d 'Longest sequence in tokens, prompt included (41.7 tokens are a second)' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l retries -d 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l layout -d 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)' -r -f -a "chat\t''
legacy\t''"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l denoise -d 'Remove noise'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l vad -d 'Remove silent parts'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l keep-steps -d 'Keep the result of every step beside the output (out.1-denoise.wav, …)'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l force -d 'Replace the result if it exists'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l golden -d 'Folder of golden data to compare with, on the checkpoint in `--models`' -r -f -a "(__fish_complete_directories)"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l stage -d 'Only this stage of the golden data' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l models -d 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`' -r -F
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l device -d 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l dtype -d 'How to keep the language model\'s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l seed -d 'Seed of every random draw [default: 0]; the same seed gives the same samples' -r
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -l json -d 'Print one JSON object per result to stdout'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s q -l quiet -d 'Say nothing but warnings and errors'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s v -l verbose -d 'Say more'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit doctor completions help" -f -a "clone" -d 'Say new words in the voice of a recording'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit doctor completions help" -f -a "edit" -d 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit doctor completions help" -f -a "doctor" -d 'Check the device, the memory and the checkpoint'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit doctor completions help" -f -a "completions" -d 'Print the completion script of a shell'
complete -c stepaudio -n "__fish_stepaudio_using_subcommand help; and not __fish_seen_subcommand_from clone edit doctor completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
