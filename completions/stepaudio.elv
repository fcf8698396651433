
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
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
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
            cand cache 'Look at, check and empty what is kept of former runs'
            cand doctor 'Check the device, the memory and the checkpoint'
            cand completions 'Print the completion script of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;clone'= {
            cand --text-file 'Text file to say (UTF-8), or - for stdin'
            cand --voice 'Recording of the voice, 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), or - to read it from stdin'
            cand --voice-text 'What the recording says; transcribed when not given'
            cand -o 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --output 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made'
            cand --max-chars 'Longest part of a long text in characters [default: what takes about 20 seconds to say]'
            cand --pause 'Silence between two parts after a sentence; after a paragraph it is twice as long, within a sentence shorter'
            cand --asr 'Who transcribes [default: whisper]'
            cand --asr-model 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]'
            cand --language 'Code of the spoken language, such as en or zh; found by the model when not given'
            cand --format 'Format of the result when the name does not tell it [default for -: wav]'
            cand --temperature 'Softmax temperature; 0 takes the likeliest token each time'
            cand --top-k 'Draw from this many of the likeliest tokens; 0 means all'
            cand --max-length 'Longest sequence in tokens, prompt included (41.7 tokens are a second)'
            cand --retries 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]'
            cand --layout 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --force 'Replace the result if it exists'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
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
            cand --retries 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]'
            cand --layout 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --denoise 'Remove noise'
            cand --vad 'Remove silent parts'
            cand --keep-steps 'Keep the result of every step beside the output (out.1-denoise.wav, …)'
            cand --force 'Replace the result if it exists'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
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
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand -r 'Look into the folders below folders'
            cand --recursive 'Look into the folders below folders'
            cand --skip-existing 'Leave out recordings whose result exists'
            cand --force 'Replace results that exist'
            cand --no-fallback 'Keep the first text of each 30 seconds even if it repeats itself or is unlikely'
            cand --carry 'Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand stats 'Count what is there and how often it was used'
            cand verify 'Read everything, and drop what is damaged'
            cand prune 'Drop what was not used for the longest time [default: down to --cache-size]'
            cand clear 'Drop everything'
            cand path 'Print the folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;cache;stats'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache;verify'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache;prune'= {
            cand --to 'Down to this size, such as 500MB'
            cand --older-than 'All that was not used for so long, such as 30d or 12h'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache;clear'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --weights 'Also the quantised weights, which hold nothing private and take minutes to make again'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache;path'= {
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
            cand --json 'Print one JSON object per result to stdout'
            cand -q 'Say nothing but warnings and errors'
            cand --quiet 'Say nothing but warnings and errors'
            cand -v 'Say more'
            cand --verbose 'Say more'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'stepaudio;cache;help'= {
            cand stats 'Count what is there and how often it was used'
            cand verify 'Read everything, and drop what is damaged'
            cand prune 'Drop what was not used for the longest time [default: down to --cache-size]'
            cand clear 'Drop everything'
            cand path 'Print the folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'stepaudio;cache;help;stats'= {
        }
        &'stepaudio;cache;help;verify'= {
        }
        &'stepaudio;cache;help;prune'= {
        }
        &'stepaudio;cache;help;clear'= {
        }
        &'stepaudio;cache;help;path'= {
        }
        &'stepaudio;cache;help;help'= {
        }
        &'stepaudio;doctor'= {
            cand --golden 'Folder of golden data to compare with, on the checkpoint in `--models`'
            cand --stage 'Only this stage of the golden data'
            cand --models 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models'
            cand --device 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`'
            cand --dtype 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`'
            cand --seed 'Seed of every random draw [default: 0]; the same seed gives the same samples'
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
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
            cand --cache-size 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]'
            cand --color 'When to use colours'
            cand --no-cache 'Neither use nor keep transcripts, voices and speech of former runs'
            cand --refresh 'Compute everything anew, and keep it in place of what former runs kept'
            cand --cache-results 'Keep finished speech too: the same command then costs nothing the next time'
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
            cand cache 'Look at, check and empty what is kept of former runs'
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
        &'stepaudio;help;cache'= {
            cand stats 'Count what is there and how often it was used'
            cand verify 'Read everything, and drop what is damaged'
            cand prune 'Drop what was not used for the longest time [default: down to --cache-size]'
            cand clear 'Drop everything'
            cand path 'Print the folder'
        }
        &'stepaudio;help;cache;stats'= {
        }
        &'stepaudio;help;cache;verify'= {
        }
        &'stepaudio;help;cache;prune'= {
        }
        &'stepaudio;help;cache;clear'= {
        }
        &'stepaudio;help;cache;path'= {
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
