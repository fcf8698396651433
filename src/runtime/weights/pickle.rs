//! Reading the pickle of a PyTorch archive without executing anything: a small machine for the opcodes that
//! `torch.save` writes, with an allow-list of names.
//!
//! Every container lives in one arena and values refer to it by number, so that a hostile pickle can neither nest
//! deep enough to overflow the stack nor share itself into exponential size: work and memory stay linear in the
//! length of the pickle. Opcodes: Python, `Lib/pickletools.py`.

use super::table::Element;
use std::collections::HashMap;

/// A value; containers are numbers of the arena in [`Pickle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// A value that no tensor is made of: a number with a fraction, bytes.
    Other,
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Global(Global),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

/// The names that a weight file may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
    Size,
    Storage(Element),
}

impl Global {
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch", "FloatStorage") => Self::Storage(Element::F32),
            ("torch", "DoubleStorage") => Self::Storage(Element::F64),
            ("torch", "HalfStorage") => Self::Storage(Element::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Element::Bf16),
            ("torch", "LongStorage") => Self::Storage(Element::I64),
            ("torch", "IntStorage") => Self::Storage(Element::I32),
            ("torch", "ShortStorage") => Self::Storage(Element::I16),
            ("torch", "ByteStorage" | "BoolStorage") => Self::Storage(Element::U8),
            _ => return None,
        })
    }
}

/// A reference to an archive entry: `data/KEY` with `count` elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StorageRef<'a> {
    pub(super) element: Element,
    pub(super) key: &'a str,
    pub(super) count: usize,
}

/// A view into a storage, in elements.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorRef {
    pub(super) storage: usize,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

/// An unpickled object with everything that it refers to.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) root: Value<'a>,
    sequences: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    storages: Vec<StorageRef<'a>>,
    tensors: Vec<TensorRef>,
}

/// Far above the pickle of any published checkpoint, which describes a thousand tensors in 200 kB.
const LARGEST: usize = 8 << 20;

/// More dimensions than any weight has.
const MOST_DIMENSIONS: usize = 16;

type Reading<T> = Result<T, String>;

impl<'a> Pickle<'a> {
    /// Reads `bytes`; the error says what was refused or damaged, and where.
    pub(super) fn read(bytes: &'a [u8]) -> Reading<Self> {
        if bytes.len() > LARGEST {
            return Err(format!("its description of {} bytes is larger than {LARGEST}", bytes.len()));
        }
        let mut machine = Machine::new(bytes);
        machine.run().map_err(|why| format!("{why} (at byte {} of its description)", machine.at))
    }

    /// The items of a dictionary, or `None` for any other value.
    pub(super) fn items(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match value {
            Value::Dict(id) => Some(&self.dicts[id]),
            _ => None,
        }
    }

    /// The view behind a tensor value and the storage it looks at.
    pub(super) fn tensor(&self, value: Value<'a>) -> Option<(&TensorRef, StorageRef<'a>)> {
        match value {
            Value::Tensor(id) => {
                let tensor = &self.tensors[id];
                Some((tensor, self.storages[tensor.storage]))
            }
            _ => None,
        }
    }
}

/// The unpickling machine: a stack with marks, a memo, and the arena.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    made: Pickle<'a>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let made = Pickle {
            root: Value::None,
            sequences: Vec::new(),
            dicts: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
        };
        let (stack, marks, memo) = (Vec::new(), Vec::new(), HashMap::new());
        Self { bytes, at: 0, stack, marks, memo, made }
    }

    fn run(&mut self) -> Reading<Pickle<'a>> {
        loop {
            let opcode = self.take(1)?[0];
            if opcode == b'.' {
                self.made.root = self.pop()?;
                return Ok(std::mem::replace(&mut self.made, Machine::new(&[]).made));
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Reading<()> {
        match opcode {
            // PROTO, FRAME
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            // MARK, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
            // GLOBAL, STACK_GLOBAL, REDUCE, NEWOBJ, BINPERSID
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push_global(module, name)?;
            }
            b'R' | 0x81 => self.call()?,
            // POP, and BUILD: the state of an allowed object is metadata, such as the versions of a state dict.
            b'0' | b'b' => drop(self.pop()?),
            b'Q' => self.persistent()?,
            _ => return self.step_memo(opcode),
        }
        Ok(())
    }

    fn step_memo(&mut self, opcode: u8) -> Reading<()> {
        match opcode {
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' | b'r' | 0x94 => {
                let key = match opcode {
                    b'q' => u32::from(self.take(1)?[0]),
                    b'r' => self.u32()?,
                    _ => self.memo.len() as u32,
                };
                let top = *self.stack.last().ok_or("the stack is empty")?;
                self.memo.insert(key, top);
            }
            b'h' | b'j' => {
                let key = match opcode {
                    b'h' => u32::from(self.take(1)?[0]),
                    _ => self.u32()?,
                };
                let value = *self.memo.get(&key).ok_or_else(|| format!("nothing was memoised as {key}"))?;
                self.stack.push(value);
            }
            _ => return self.step_container(opcode),
        }
        Ok(())
    }

    fn step_container(&mut self, opcode: u8) -> Reading<()> {
        match opcode {
            // EMPTY_TUPLE, TUPLE1..3, TUPLE
            b')' => self.push_tuple(Vec::new()),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_tuple(items);
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push_tuple(items);
            }
            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.push_list(Vec::new()),
            b'l' => {
                let items = self.pop_mark()?;
                self.push_list(items);
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(&items)?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.push_dict(Vec::new()),
            b'd' => {
                let items = self.pop_mark()?;
                self.push_dict(pairs(&items)?);
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            _ => return self.step_scalar(opcode),
        }
        Ok(())
    }

    fn step_scalar(&mut self, opcode: u8) -> Reading<()> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            // BININT, BININT1, BININT2, LONG1, LONG4
            b'J' => Value::Int(i64::from(self.u32()? as i32)),
            b'K' => Value::Int(i64::from(self.take(1)?[0])),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.array()?))),
            0x8a => {
                let length = usize::from(self.take(1)?[0]);
                self.long(length)?
            }
            0x8b => {
                let length = self.u32()? as usize;
                self.long(length)?
            }
            // BINFLOAT, SHORT_BINBYTES, BINBYTES
            b'G' => self.skip(8)?,
            b'C' => {
                let length = usize::from(self.take(1)?[0]);
                self.skip(length)?
            }
            b'B' => {
                let length = self.u32()? as usize;
                self.skip(length)?
            }
            // SHORT_BINSTRING, BINSTRING, SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            b'U' | 0x8c => {
                let length = usize::from(self.take(1)?[0]);
                self.text(length)?
            }
            b'T' | b'X' => {
                let length = self.u32()? as usize;
                self.text(length)?
            }
            0x8d => {
                let length = u64::from_le_bytes(self.array()?);
                self.text(usize::try_from(length).map_err(|_| "a text is too long")?)?
            }
            _ => {
                return Err(format!("the pickle instruction 0x{opcode:02x} has no place in a weight file"));
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn take(&mut self, count: usize) -> Reading<&'a [u8]> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or("it ends in the middle of an instruction")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Reading<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "internal length".to_string())
    }

    fn u32(&mut self) -> Reading<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn line(&mut self) -> Reading<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&b| b == b'\n').ok_or("a name has no end")?;
        let line = std::str::from_utf8(&rest[..length]).map_err(|_| "a name is not UTF-8")?;
        self.at += length + 1;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Reading<Value<'a>> {
        let bytes = self.take(length)?;
        Ok(Value::Text(std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?))
    }

    fn skip(&mut self, length: usize) -> Reading<Value<'a>> {
        self.take(length)?;
        Ok(Value::Other)
    }

    /// A little-endian two's-complement integer of any length; one beyond 64 bits cannot be a size.
    fn long(&mut self, length: usize) -> Reading<Value<'a>> {
        let bytes = self.take(length)?;
        if length > 8 {
            return Ok(Value::Other);
        }
        let negative = bytes.last().is_some_and(|&b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..length].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(wide)))
    }

    fn pop(&mut self) -> Reading<Value<'a>> {
        if self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            return Err("it takes a value from below a mark".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_text(&mut self) -> Reading<&'a str> {
        match self.pop()? {
            Value::Text(text) => Ok(text),
            _ => Err("a name is not a text".into()),
        }
    }

    fn pop_many(&mut self, count: usize) -> Reading<Vec<Value<'a>>> {
        let mut items: Vec<_> = (0..count).map(|_| self.pop()).collect::<Reading<_>>()?;
        items.reverse();
        Ok(items)
    }

    fn pop_mark(&mut self) -> Reading<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        if mark > self.stack.len() {
            return Err("a mark is misplaced".into());
        }
        Ok(self.stack.split_off(mark))
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.made.sequences.push(items);
        self.stack.push(Value::Tuple(self.made.sequences.len() - 1));
    }

    fn push_list(&mut self, items: Vec<Value<'a>>) {
        self.made.sequences.push(items);
        self.stack.push(Value::List(self.made.sequences.len() - 1));
    }

    fn push_dict(&mut self, items: Vec<(Value<'a>, Value<'a>)>) {
        self.made.dicts.push(items);
        self.stack.push(Value::Dict(self.made.dicts.len() - 1));
    }

    fn append(&mut self, items: &[Value<'a>]) -> Reading<()> {
        match self.stack.last() {
            Some(&Value::List(id)) => self.made.sequences[id].extend(items),
            _ => return Err("it appends to something that is not a list".into()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Value<'a>]) -> Reading<()> {
        match self.stack.last() {
            Some(&Value::Dict(id)) => self.made.dicts[id].extend(pairs(items)?),
            _ => return Err("it sets items of something that is not a dictionary".into()),
        }
        Ok(())
    }

    fn push_global(&mut self, module: &str, name: &str) -> Reading<()> {
        let global = Global::named(module, name).ok_or_else(|| {
            format!("it names `{module}.{name}`, which a weight file has no need of; nothing was executed")
        })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn tuple(&self, value: Value<'a>) -> Reading<&[Value<'a>]> {
        match value {
            Value::Tuple(id) => Ok(&self.made.sequences[id]),
            _ => Err("a tuple was expected".into()),
        }
    }

    fn call(&mut self) -> Reading<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Global(callee) = callee else {
            return Err("it calls something that is not a known name".into());
        };
        match callee {
            Global::RebuildTensor => self.rebuild(arguments),
            Global::RebuildParameter => {
                let inner = *self.tuple(arguments)?.first().ok_or("a parameter without a tensor")?;
                self.stack.push(inner);
                Ok(())
            }
            // Its items follow as instructions; passed as an argument they could be shared without end.
            Global::OrderedDict if self.tuple(arguments)?.is_empty() => {
                self.push_dict(Vec::new());
                Ok(())
            }
            Global::OrderedDict => Err("a dictionary is made from an argument".into()),
            Global::Size | Global::Storage(_) => {
                self.stack.push(Value::Other);
                Ok(())
            }
        }
    }

    /// `("storage", TYPE, key, location, element count)`.
    fn persistent(&mut self) -> Reading<()> {
        let id = self.pop()?;
        let storage = match *self.tuple(id)? {
            [
                Value::Text("storage"),
                Value::Global(Global::Storage(element)),
                Value::Text(key),
                _,
                Value::Int(count),
                ..,
            ] => StorageRef { element, key, count: size(count)? },
            _ => return Err("a storage is described in an unknown way".into()),
        };
        self.made.storages.push(storage);
        self.stack.push(Value::Storage(self.made.storages.len() - 1));
        Ok(())
    }

    /// `(storage, offset, shape, stride, requires_grad, hooks, ...)`.
    fn rebuild(&mut self, arguments: Value<'a>) -> Reading<()> {
        let [Value::Storage(storage), Value::Int(offset), shape, stride, ..] = *self.tuple(arguments)? else {
            return Err("a tensor is described in an unknown way".into());
        };
        let tensor = TensorRef {
            storage,
            offset: size(offset)?,
            shape: self.sizes(shape)?,
            stride: self.sizes(stride)?,
        };
        self.made.tensors.push(tensor);
        self.stack.push(Value::Tensor(self.made.tensors.len() - 1));
        Ok(())
    }

    fn sizes(&self, value: Value<'a>) -> Reading<Vec<usize>> {
        let items = self.tuple(value)?;
        if items.len() > MOST_DIMENSIONS {
            return Err(format!("a tensor has {} dimensions", items.len()));
        }
        let one = |item: &Value<'_>| match item {
            Value::Int(number) => size(*number),
            _ => Err("a dimension is not a whole number".into()),
        };
        items.iter().map(one).collect()
    }
}

fn size(number: i64) -> Reading<usize> {
    usize::try_from(number).map_err(|_| format!("{number} is not a size"))
}

fn pairs<'a>(items: &[Value<'a>]) -> Reading<Vec<(Value<'a>, Value<'a>)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("a dictionary has a key without a value".into());
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
