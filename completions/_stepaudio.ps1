
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'stepaudio' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'stepaudio'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'stepaudio' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('clone', 'clone', [CompletionResultType]::ParameterValue, 'Say new words in the voice of a recording')
            [CompletionResult]::new('edit', 'edit', [CompletionResultType]::ParameterValue, 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence')
            [CompletionResult]::new('transcribe', 'transcribe', [CompletionResultType]::ParameterValue, 'Write down what recordings say: text, subtitles, tables or JSON')
            [CompletionResult]::new('batch', 'batch', [CompletionResultType]::ParameterValue, 'Do the jobs that a manifest lists: clone, edit and transcribe')
            [CompletionResult]::new('voices', 'voices', [CompletionResultType]::ParameterValue, 'Keep voices under a name, for `stepaudio clone --voice NAME`')
            [CompletionResult]::new('gpu', 'gpu', [CompletionResultType]::ParameterValue, 'Show where the models are, and give their memory back')
            [CompletionResult]::new('gpu-status', 'gpu-status', [CompletionResultType]::ParameterValue, 'Show the models of the daemon, their memory and the GPUs')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Keep the models ready between commands, and give their memory back when nobody speaks')
            [CompletionResult]::new('cache', 'cache', [CompletionResultType]::ParameterValue, 'Look at, check and empty what is kept of former runs')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check the device, the memory and the checkpoint')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;clone' {
            [CompletionResult]::new('--text-file', '--text-file', [CompletionResultType]::ParameterName, 'Text file to say (UTF-8), or - for stdin')
            [CompletionResult]::new('--voice', '--voice', [CompletionResultType]::ParameterName, 'The voice: a recording of 3 to 30 seconds (WAV, FLAC, MP3, OGG, M4A), - to read it from stdin, or the name of a stored voice. Letters, digits, - and _ are a name; anything with a dot or slash is a file (./ref)')
            [CompletionResult]::new('--voice-text', '--voice-text', [CompletionResultType]::ParameterName, 'What the recording says; transcribed when not given. A stored voice knows it')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made')
            [CompletionResult]::new('--max-chars', '--max-chars', [CompletionResultType]::ParameterName, 'Longest part of a long text in characters [default: what takes about 20 seconds to say]')
            [CompletionResult]::new('--pause', '--pause', [CompletionResultType]::ParameterName, 'Silence between two parts after a sentence; after a paragraph it is twice as long, within a sentence shorter')
            [CompletionResult]::new('--together', '--together', [CompletionResultType]::ParameterName, 'Generate up to this many parts side by side: the same samples in less time, with more memory')
            [CompletionResult]::new('--asr', '--asr', [CompletionResultType]::ParameterName, 'Who transcribes [default: whisper]')
            [CompletionResult]::new('--asr-model', '--asr-model', [CompletionResultType]::ParameterName, 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]')
            [CompletionResult]::new('--language', '--language', [CompletionResultType]::ParameterName, 'Code of the spoken language, such as en or zh; found by the model when not given')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the result when the name does not tell it [default for -: wav]')
            [CompletionResult]::new('--temperature', '--temperature', [CompletionResultType]::ParameterName, 'Softmax temperature; 0 takes the likeliest token each time')
            [CompletionResult]::new('--top-k', '--top-k', [CompletionResultType]::ParameterName, 'Draw from this many of the likeliest tokens; 0 means all')
            [CompletionResult]::new('--max-length', '--max-length', [CompletionResultType]::ParameterName, 'Longest sequence in tokens, prompt included (41.7 tokens are a second)')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]')
            [CompletionResult]::new('--layout', '--layout', [CompletionResultType]::ParameterName, 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace the result if it exists')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;edit' {
            [CompletionResult]::new('--emotion', '--emotion', [CompletionResultType]::ParameterName, 'Speak with this emotion; `remove` takes emotion away')
            [CompletionResult]::new('--style', '--style', [CompletionResultType]::ParameterName, 'Speak in this style; `remove` takes any style away')
            [CompletionResult]::new('--speed', '--speed', [CompletionResultType]::ParameterName, 'Speak faster or slower')
            [CompletionResult]::new('--paralinguistic', '--paralinguistic', [CompletionResultType]::ParameterName, 'Add the sounds that stand in this text as tags: [Breathing] [Laughter] [Surprise-oh] [Confirmation-en] [Uhm] [Surprise-ah] [Surprise-wa] [Sigh] [Question-ei] [Dissatisfaction-hnn]')
            [CompletionResult]::new('--text', '--text', [CompletionResultType]::ParameterName, 'What the recording says; transcribed when an edit needs it and it is not given. A recording over 30 seconds is transcribed nevertheless (--asr), to find the words of each part')
            [CompletionResult]::new('--repeat', '--repeat', [CompletionResultType]::ParameterName, 'Apply all edits this often; the effect grows each time')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Where the result goes: a .wav, .flac or .pcm file, or - to stream to stdout as it is made')
            [CompletionResult]::new('--out-dir', '--out-dir', [CompletionResultType]::ParameterName, 'Folder for the results of several recordings, each named like its recording')
            [CompletionResult]::new('--asr', '--asr', [CompletionResultType]::ParameterName, 'Who transcribes [default: whisper]')
            [CompletionResult]::new('--asr-model', '--asr-model', [CompletionResultType]::ParameterName, 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]')
            [CompletionResult]::new('--language', '--language', [CompletionResultType]::ParameterName, 'Code of the spoken language, such as en or zh; found by the model when not given')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the result when the name does not tell it [default for -: wav]')
            [CompletionResult]::new('--temperature', '--temperature', [CompletionResultType]::ParameterName, 'Softmax temperature; 0 takes the likeliest token each time')
            [CompletionResult]::new('--top-k', '--top-k', [CompletionResultType]::ParameterName, 'Draw from this many of the likeliest tokens; 0 means all')
            [CompletionResult]::new('--max-length', '--max-length', [CompletionResultType]::ParameterName, 'Longest sequence in tokens, prompt included (41.7 tokens are a second)')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Try again with the next seed when the speech was cut, loops or stays empty, at most this often [default: 0; 2 for each part of a long text or recording]')
            [CompletionResult]::new('--layout', '--layout', [CompletionResultType]::ParameterName, 'How turns are laid out in the prompt: `chat` (current) or `legacy` (first release)')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--denoise', '--denoise', [CompletionResultType]::ParameterName, 'Remove noise')
            [CompletionResult]::new('--vad', '--vad', [CompletionResultType]::ParameterName, 'Remove silent parts')
            [CompletionResult]::new('--keep-steps', '--keep-steps', [CompletionResultType]::ParameterName, 'Keep the result of every step beside the output (out.1-denoise.wav, …)')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace the result if it exists')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;transcribe' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'How to write the transcript [default: the ending of `-o`, else txt]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write the transcript [default: the ending of `-o`, else txt]')
            [CompletionResult]::new('--timestamps', '--timestamps', [CompletionResultType]::ParameterName, 'What gets a time: whole segments or each word')
            [CompletionResult]::new('--task', '--task', [CompletionResultType]::ParameterName, 'Write what is said in its language, or in English')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'File of the result, or the folder for the results of several recordings [default: stdout]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'File of the result, or the folder for the results of several recordings [default: stdout]')
            [CompletionResult]::new('--asr', '--asr', [CompletionResultType]::ParameterName, 'Who transcribes [default: whisper]')
            [CompletionResult]::new('--asr-model', '--asr-model', [CompletionResultType]::ParameterName, 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]')
            [CompletionResult]::new('--language', '--language', [CompletionResultType]::ParameterName, 'Code of the spoken language, such as en or zh; found by the model when not given')
            [CompletionResult]::new('--initial-prompt', '--initial-prompt', [CompletionResultType]::ParameterName, 'Names and words that may occur, or the text before the recording')
            [CompletionResult]::new('--beams', '--beams', [CompletionResultType]::ParameterName, 'Texts that Whisper writes side by side before it keeps the best; slower, sometimes better')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Look into the folders below folders')
            [CompletionResult]::new('--recursive', '--recursive', [CompletionResultType]::ParameterName, 'Look into the folders below folders')
            [CompletionResult]::new('--skip-existing', '--skip-existing', [CompletionResultType]::ParameterName, 'Leave out recordings whose result exists')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace results that exist')
            [CompletionResult]::new('--no-fallback', '--no-fallback', [CompletionResultType]::ParameterName, 'Keep the first text of each 30 seconds even if it repeats itself or is unlikely')
            [CompletionResult]::new('--carry', '--carry', [CompletionResultType]::ParameterName, 'Tell Whisper the text before each 30 seconds: steadier names, but one slip can spoil what follows')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;batch' {
            [CompletionResult]::new('--out-dir', '--out-dir', [CompletionResultType]::ParameterName, 'Folder of the results [default: the folder of the manifest]')
            [CompletionResult]::new('--shard', '--shard', [CompletionResultType]::ParameterName, 'Do share I of N, such as 2/8 [default in a Slurm job array: the share of the task]')
            [CompletionResult]::new('--together', '--together', [CompletionResultType]::ParameterName, 'Speak up to this many clones side by side: the same samples in less time, with more memory')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--resume', '--resume', [CompletionResultType]::ParameterName, 'Go on with a batch: leave out what is done')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace results that exist; without `--resume`, begin anew')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Check everything and say what would be done')
            [CompletionResult]::new('--merge', '--merge', [CompletionResultType]::ParameterName, 'Do nothing but gather the results of all shards in results.jsonl, in the order of the manifest')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;voices' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Store a recording of a voice')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the stored voices: name, length, language, day, words')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Forget stored voices')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;voices;add' {
            [CompletionResult]::new('--text', '--text', [CompletionResultType]::ParameterName, 'What the recording says; transcribed when not given')
            [CompletionResult]::new('--asr', '--asr', [CompletionResultType]::ParameterName, 'Who transcribes [default: whisper]')
            [CompletionResult]::new('--asr-model', '--asr-model', [CompletionResultType]::ParameterName, 'Whisper model: a folder, or a name below `--models` [default: whisper-large-v3-turbo, else one that is there]')
            [CompletionResult]::new('--language', '--language', [CompletionResultType]::ParameterName, 'Code of the spoken language, such as en or zh; found by the model when not given')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace a voice of that name')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;voices;list' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--names', '--names', [CompletionResultType]::ParameterName, 'Print the names only')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;voices;remove' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;voices;help' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Store a recording of a voice')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the stored voices: name, length, language, day, words')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Forget stored voices')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;voices;help;add' {
            break
        }
        'stepaudio;voices;help;list' {
            break
        }
        'stepaudio;voices;help;remove' {
            break
        }
        'stepaudio;voices;help;help' {
            break
        }
        'stepaudio;gpu' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the models of the daemon, their memory and the GPUs')
            [CompletionResult]::new('unload', 'unload', [CompletionResultType]::ParameterValue, 'Take the models from the device; the next task brings them back from the memory of the host')
            [CompletionResult]::new('release', 'release', [CompletionResultType]::ParameterValue, 'Give all memory back, that of the host too, and check that it is gone')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;gpu;status' {
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;gpu;unload' {
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Cancel the task that uses the models')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;gpu;release' {
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait for the tasks that use the models, at most so long when given (`--wait=30s`)')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Cancel the task that uses the models')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;gpu;help' {
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the models of the daemon, their memory and the GPUs')
            [CompletionResult]::new('unload', 'unload', [CompletionResultType]::ParameterValue, 'Take the models from the device; the next task brings them back from the memory of the host')
            [CompletionResult]::new('release', 'release', [CompletionResultType]::ParameterValue, 'Give all memory back, that of the host too, and check that it is gone')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;gpu;help;status' {
            break
        }
        'stepaudio;gpu;help;unload' {
            break
        }
        'stepaudio;gpu;help;release' {
            break
        }
        'stepaudio;gpu;help;help' {
            break
        }
        'stepaudio;gpu-status' {
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Show it again and again, every second or as often as given (`0.5`, `10s`), until Ctrl-C')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;serve' {
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'Take the models from the device after this long without a task (`600`, `10m`, `never`)')
            [CompletionResult]::new('--release-timeout', '--release-timeout', [CompletionResultType]::ParameterName, 'Give the memory of their files back too, this long after that')
            [CompletionResult]::new('--residency', '--residency', [CompletionResultType]::ParameterName, 'How long the models stay on the device')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Tasks that may wait; further ones are refused')
            [CompletionResult]::new('--stall-timeout', '--stall-timeout', [CompletionResultType]::ParameterName, 'End a task that makes no progress for this long')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Change a setting of the daemon that runs: idle-timeout, release-timeout or residency; may be repeated')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Run in the background; returns once the daemon answers')
            [CompletionResult]::new('--stop', '--stop', [CompletionResultType]::ParameterName, 'End the daemon that runs, after the tasks that it has')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'With --stop: end it at once')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('stats', 'stats', [CompletionResultType]::ParameterValue, 'Count what is there and how often it was used')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Read everything, and drop what is damaged')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Drop what was not used for the longest time [default: down to --cache-size]')
            [CompletionResult]::new('clear', 'clear', [CompletionResultType]::ParameterValue, 'Drop everything')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print the folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;cache;stats' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache;verify' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache;prune' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Down to this size, such as 500MB')
            [CompletionResult]::new('--older-than', '--older-than', [CompletionResultType]::ParameterName, 'All that was not used for so long, such as 30d or 12h')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache;clear' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--weights', '--weights', [CompletionResultType]::ParameterName, 'Also the quantised weights, which hold nothing private and take minutes to make again')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache;path' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;cache;help' {
            [CompletionResult]::new('stats', 'stats', [CompletionResultType]::ParameterValue, 'Count what is there and how often it was used')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Read everything, and drop what is damaged')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Drop what was not used for the longest time [default: down to --cache-size]')
            [CompletionResult]::new('clear', 'clear', [CompletionResultType]::ParameterValue, 'Drop everything')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print the folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;cache;help;stats' {
            break
        }
        'stepaudio;cache;help;verify' {
            break
        }
        'stepaudio;cache;help;prune' {
            break
        }
        'stepaudio;cache;help;clear' {
            break
        }
        'stepaudio;cache;help;path' {
            break
        }
        'stepaudio;cache;help;help' {
            break
        }
        'stepaudio;doctor' {
            [CompletionResult]::new('--golden', '--golden', [CompletionResultType]::ParameterName, 'Folder of golden data to compare with, on the checkpoint in `--models`')
            [CompletionResult]::new('--stage', '--stage', [CompletionResultType]::ParameterName, 'Only this stage of the golden data')
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;completions' {
            [CompletionResult]::new('--models', '--models', [CompletionResultType]::ParameterName, 'Folder that holds the checkpoint folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, and Whisper models')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Where to run: `auto`, `cpu`, `cuda` or `cuda:N`')
            [CompletionResult]::new('--dtype', '--dtype', [CompletionResultType]::ParameterName, 'How to keep the language model''s weights: `auto`, `f32`, `f16`, `bf16`, `q8` or `q4`')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of every random draw [default: 0]; the same seed gives the same samples')
            [CompletionResult]::new('--socket', '--socket', [CompletionResultType]::ParameterName, 'Socket of the daemon, which runs the task when it runs [default: below `$XDG_RUNTIME_DIR` or `/tmp`]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up a task, or an item of a batch, that is not done after this long, such as `90s` or `5m`; waiting in the daemon counts')
            [CompletionResult]::new('--gpu-wait', '--gpu-wait', [CompletionResultType]::ParameterName, 'Give up when a GPU has no room for the models for this long; a daemon waits as it was told when it started')
            [CompletionResult]::new('--cache-size', '--cache-size', [CompletionResultType]::ParameterName, 'Space that the cache may take, such as 500MB or 2GiB [default: 2GiB]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--no-daemon', '--no-daemon', [CompletionResultType]::ParameterName, 'Run in this process even if a daemon runs')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Neither use nor keep transcripts, voices and speech of former runs')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Compute everything anew, and keep it in place of what former runs kept')
            [CompletionResult]::new('--cache-results', '--cache-results', [CompletionResultType]::ParameterName, 'Keep finished speech too: the same command then costs nothing the next time')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object per result to stdout')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but warnings and errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'stepaudio;help' {
            [CompletionResult]::new('clone', 'clone', [CompletionResultType]::ParameterValue, 'Say new words in the voice of a recording')
            [CompletionResult]::new('edit', 'edit', [CompletionResultType]::ParameterValue, 'Change how a recording is spoken: emotion, style, speed, sounds, noise, silence')
            [CompletionResult]::new('transcribe', 'transcribe', [CompletionResultType]::ParameterValue, 'Write down what recordings say: text, subtitles, tables or JSON')
            [CompletionResult]::new('batch', 'batch', [CompletionResultType]::ParameterValue, 'Do the jobs that a manifest lists: clone, edit and transcribe')
            [CompletionResult]::new('voices', 'voices', [CompletionResultType]::ParameterValue, 'Keep voices under a name, for `stepaudio clone --voice NAME`')
            [CompletionResult]::new('gpu', 'gpu', [CompletionResultType]::ParameterValue, 'Show where the models are, and give their memory back')
            [CompletionResult]::new('gpu-status', 'gpu-status', [CompletionResultType]::ParameterValue, 'Show the models of the daemon, their memory and the GPUs')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Keep the models ready between commands, and give their memory back when nobody speaks')
            [CompletionResult]::new('cache', 'cache', [CompletionResultType]::ParameterValue, 'Look at, check and empty what is kept of former runs')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check the device, the memory and the checkpoint')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'stepaudio;help;clone' {
            break
        }
        'stepaudio;help;edit' {
            break
        }
        'stepaudio;help;transcribe' {
            break
        }
        'stepaudio;help;batch' {
            break
        }
        'stepaudio;help;voices' {
            [CompletionResult]::new('add', 'add', [CompletionResultType]::ParameterValue, 'Store a recording of a voice')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the stored voices: name, length, language, day, words')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Forget stored voices')
            break
        }
        'stepaudio;help;voices;add' {
            break
        }
        'stepaudio;help;voices;list' {
            break
        }
        'stepaudio;help;voices;remove' {
            break
        }
        'stepaudio;help;gpu' {
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the models of the daemon, their memory and the GPUs')
            [CompletionResult]::new('unload', 'unload', [CompletionResultType]::ParameterValue, 'Take the models from the device; the next task brings them back from the memory of the host')
            [CompletionResult]::new('release', 'release', [CompletionResultType]::ParameterValue, 'Give all memory back, that of the host too, and check that it is gone')
            break
        }
        'stepaudio;help;gpu;status' {
            break
        }
        'stepaudio;help;gpu;unload' {
            break
        }
        'stepaudio;help;gpu;release' {
            break
        }
        'stepaudio;help;gpu-status' {
            break
        }
        'stepaudio;help;serve' {
            break
        }
        'stepaudio;help;cache' {
            [CompletionResult]::new('stats', 'stats', [CompletionResultType]::ParameterValue, 'Count what is there and how often it was used')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Read everything, and drop what is damaged')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Drop what was not used for the longest time [default: down to --cache-size]')
            [CompletionResult]::new('clear', 'clear', [CompletionResultType]::ParameterValue, 'Drop everything')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print the folder')
            break
        }
        'stepaudio;help;cache;stats' {
            break
        }
        'stepaudio;help;cache;verify' {
            break
        }
        'stepaudio;help;cache;prune' {
            break
        }
        'stepaudio;help;cache;clear' {
            break
        }
        'stepaudio;help;cache;path' {
            break
        }
        'stepaudio;help;doctor' {
            break
        }
        'stepaudio;help;completions' {
            break
        }
        'stepaudio;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
