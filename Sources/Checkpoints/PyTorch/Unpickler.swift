// A restricted unpickler: it runs the pickle machine's data opcodes (protocols 2 to 5) and knows no code.
// A pickle can make numbers, strings, containers and tensors; a name outside the list in
// `PickleGlobal` is an error that tells the name. Opcodes after Python's pickletools.

import TensorCore

/// Runs one pickle.
struct Unpickler {
    static let maximumStack = 1_000_000
    static let maximumContainers = 2_000_000
    static let maximumMemo = 4_000_000
    static let maximumMarks = 1_000

    let bytes: [UInt8]
    let path: String
    var offset = 0
    var stack: [PickleValue] = []
    var marks: [Int] = []
    var memo: [Int: PickleValue] = [:]
    var containers: [PickleContainer] = []

    /// Runs the pickle and gives its value to `body`; containers are emptied afterwards.
    static func load<R>(
        _ bytes: [UInt8], path: String, _ body: (PickleValue) throws -> R
    ) throws -> R {
        var machine = Unpickler(bytes: bytes, path: path)
        defer {
            for container in machine.containers {
                container.items = []
                container.pairs = []
            }
        }
        return try body(try machine.run())
    }

    private init(bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    func malformed(_ reason: String) -> CheckpointError {
        .malformed(path: path, format: "PyTorch", reason: "\(reason) (pickle byte \(offset))")
    }

    func forbidden(_ what: String) -> CheckpointError {
        .unsupported(
            path: path, what: what,
            accepted: "tensors, dictionaries, lists, tuples, strings and numbers; nothing is called"
        )
    }

    private mutating func run() throws -> PickleValue {
        while offset < bytes.count {
            let opcode = bytes[offset]
            offset += 1
            if opcode == UInt8(ascii: ".") {
                guard stack.count == 1, marks.isEmpty else {
                    throw malformed("the pickle stops with \(stack.count) values")
                }
                return stack[0]
            }
            try execute(opcode)
            guard stack.count <= Self.maximumStack else {
                throw malformed("more than \(Self.maximumStack) values on the stack")
            }
        }
        throw malformed("the pickle ends without a stop")
    }

    private mutating func execute(_ opcode: UInt8) throws {
        if let value = try scalar(opcode) {
            stack.append(value)
            return
        }
        switch opcode {
        case 0x80:
            let version = try byte()
            guard (2...5).contains(version) else {
                throw malformed("pickle protocol \(version), 2 to 5 are accepted")
            }
        case 0x95: _ = try number(of: 8)
        case UInt8(ascii: "("):
            marks.append(stack.count)
            guard marks.count <= Self.maximumMarks else {
                throw malformed("more than \(Self.maximumMarks) open marks")
            }
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "1"): _ = try popToMark()
        case UInt8(ascii: "2"): stack.append(try top())
        case UInt8(ascii: "q"): try remember(Int(try byte()))
        case UInt8(ascii: "r"): try remember(try number(of: 4))
        case 0x94: try remember(memo.count)
        case UInt8(ascii: "h"): try recall(Int(try byte()))
        case UInt8(ascii: "j"): try recall(try number(of: 4))
        case UInt8(ascii: "c"):
            let module = try line()
            try pushGlobal(module: module, name: try line())
        case 0x93:
            guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
                throw malformed("a name that is not a string")
            }
            try pushGlobal(module: module, name: name)
        case UInt8(ascii: "i"):
            let module = try line()
            throw forbidden("the pickled object \(module).\(try line())")
        case UInt8(ascii: "Q"): try pushStorage(try pop())
        case UInt8(ascii: "R"):
            let arguments = try pop()
            stack.append(try reduce(try pop(), arguments))
        case 0x81, 0x92, UInt8(ascii: "o"): throw forbidden("a pickled object")
        case UInt8(ascii: "b"):
            // A state dictionary's `_metadata`: versions of the modules, of no use here.
            _ = try pop()
            guard case .container(let box) = try top(), box.kind == .dictionary else {
                throw forbidden("the state of \(try top().summary)")
            }
        default: try executeContainer(opcode)
        }
    }

    private mutating func byte() throws -> UInt8 {
        guard offset < bytes.count else { throw malformed("the pickle is cut off") }
        offset += 1
        return bytes[offset - 1]
    }

    /// An unsigned little-endian number that fits an Int.
    private mutating func number(of size: Int) throws -> Int {
        guard size <= bytes.count - offset else { throw malformed("the pickle is cut off") }
        let bits = bytes[offset..<(offset + size)].reversed().reduce(UInt64(0)) {
            $0 << 8 | UInt64($1)
        }
        guard let value = Int(exactly: bits) else {
            throw malformed("a length of \(bits)")
        }
        offset += size
        return value
    }

    private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        guard count <= bytes.count - offset else {
            throw malformed("a value of \(count) bytes, \(bytes.count - offset) are left")
        }
        offset += count
        return bytes[(offset - count)..<offset]
    }

    private mutating func string(_ count: Int) throws -> PickleValue {
        guard let text = String(validating: try take(count), as: UTF8.self) else {
            throw malformed("a string that is not valid UTF-8")
        }
        return .string(text)
    }

    private mutating func line() throws -> String {
        guard let end = bytes[offset...].firstIndex(of: 0x0A) else {
            throw malformed("the pickle is cut off")
        }
        let text = String(decoding: bytes[offset..<end], as: UTF8.self)
        offset = end + 1
        return text
    }

    private mutating func long(_ size: Int) throws -> PickleValue {
        guard size <= 8 else { throw malformed("an integer of \(size) bytes, at most 8 fit") }
        let slice = try take(size)
        var bits = slice.last.map { $0 & 0x80 != 0 } == true ? UInt64.max : 0
        for byte in slice.reversed() {
            bits = bits << 8 | UInt64(byte)
        }
        return .integer(Int(Int64(bitPattern: bits)))
    }

    /// The value of an opcode that pushes a plain value, nil for the others.
    private mutating func scalar(_ opcode: UInt8) throws -> PickleValue? {
        switch opcode {
        case UInt8(ascii: "N"): .nothing
        case 0x88: .bool(true)
        case 0x89: .bool(false)
        case UInt8(ascii: "J"):
            .integer(Int(Int32(truncatingIfNeeded: try number(of: 4))))
        case UInt8(ascii: "K"): .integer(Int(try byte()))
        case UInt8(ascii: "M"): .integer(try number(of: 2))
        case 0x8A: try long(Int(try byte()))
        case 0x8B: try long(try number(of: 4))
        case UInt8(ascii: "G"):
            .float(
                Double(bitPattern: try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }))
        case 0x8C, UInt8(ascii: "U"): try string(Int(try byte()))
        case UInt8(ascii: "X"), UInt8(ascii: "T"): try string(try number(of: 4))
        case 0x8D: try string(try number(of: 8))
        case UInt8(ascii: "C"): .bytes(try take(Int(try byte())).count)
        case UInt8(ascii: "B"): .bytes(try take(try number(of: 4)).count)
        case 0x8E, 0x96: .bytes(try take(try number(of: 8)).count)
        default: nil as PickleValue?
        }
    }

    mutating func pop() throws -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.popLast() else {
            throw malformed("the stack is empty")
        }
        return value
    }

    func top() throws -> PickleValue {
        guard stack.count > (marks.last ?? 0), let value = stack.last else {
            throw malformed("the stack is empty")
        }
        return value
    }

    mutating func popToMark() throws -> [PickleValue] {
        guard let mark = marks.popLast(), mark <= stack.count else {
            throw malformed("there is no mark")
        }
        let values = Array(stack[mark...])
        stack.removeSubrange(mark...)
        return values
    }

    private mutating func remember(_ index: Int) throws {
        memo[index] = try top()
        guard memo.count <= Self.maximumMemo else {
            throw malformed("more than \(Self.maximumMemo) remembered values")
        }
    }

    private mutating func recall(_ index: Int) throws {
        guard let value = memo[index] else { throw malformed("nothing is remembered as \(index)") }
        stack.append(value)
    }

    mutating func make(
        _ kind: PickleContainer.Kind, _ items: [PickleValue] = []
    ) throws -> PickleContainer {
        guard containers.count < Self.maximumContainers else {
            throw malformed("more than \(Self.maximumContainers) containers")
        }
        let box = PickleContainer(kind, items)
        containers.append(box)
        return box
    }

    private mutating func pushGlobal(module: String, name: String) throws {
        guard let global = PickleGlobal(module: module, name: name) else {
            throw forbidden("the pickled name \(module).\(name)")
        }
        stack.append(.global(global))
    }
}
