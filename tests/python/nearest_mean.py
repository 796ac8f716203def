"""The learner of examples/smallest-learner as a worker in Python, with nothing but the standard library.

Written against `host/src/worker/protocol.rs` (frames) and `sdk/abi/src/message.rs` (JSON headers) alone. The
host trains and scores it like every other learner; what is needed for that is all that is here.
"""

import array, ctypes, json, os, socket, struct

VERSION, NOT_OPENED, LEARNER_ERROR, PR_SET_PDEATHSIG, SIGKILL = 1, 0, 1, 1, 9
HELLO, CREATE, CALL, HOST_CALL, HOST_ANSWER, HOST_REFUSAL, RETURN, FAIL, DESCRIBE = range(1, 10)
DECLARE, BEGIN, OBSERVE, END, END_OF_STREAM, PREDICT, RESOURCES, SAVE, LOAD = range(1, 10)
WRITE_STATE, READ_STATE = 9, 10
HEAD, ENTRY = struct.Struct("<4s5I3Q"), struct.Struct("<2I2Q")
CODES = {1: "f", 2: "B", 3: "I", 4: "Q", 5: "q"}


class Host:
    """The other end: frames over the socket, tensors in two memory files."""

    def __init__(self):
        # Away from the standard input, from which a library might read.
        self.socket = socket.socket(fileno=os.dup(0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)
        peer = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert os.getppid() == struct.unpack("3i", peer)[0], "the host is gone"
        prelude, files, _, _ = socket.recv_fds(self.socket, 8, 2)
        assert prelude == b"PERDURA\n", prelude
        self.inbox, self.outbox = files

    def read(self, count):
        data = self.socket.recv(count, socket.MSG_WAITALL) if count else b""
        if len(data) < count:
            raise SystemExit(0)  # end of file means leave
        return data

    def receive(self):
        magic, kind, number, header, count, table, offset, _, _ = HEAD.unpack(self.read(HEAD.size))
        assert magic == b"PRDF", magic
        header, table, tensors = self.read(header), self.read(table), []
        for _ in range(count):
            dtype, dimensions, start, length = ENTRY.unpack_from(table)
            table = table[ENTRY.size + 8 * dimensions :]
            tensors.append(array.array(CODES[dtype], os.pread(self.inbox, length, offset + start)))
        return kind, number, header or b"null", tensors

    def send(self, kind, number=0, header=None, tensor=None):
        """A frame with at most one tensor: (element type, shape, bytes), at the start of the outbox."""
        text, table, length = json.dumps(header).encode() if header is not None else b"", b"", 0
        if tensor is not None:
            dtype, shape, data = tensor
            length = os.pwrite(self.outbox, data, 0) if data else 0
            assert length == len(data)
            table = ENTRY.pack(dtype, len(shape), 0, length) + struct.pack(f"<{len(shape)}Q", *shape)
        sizes = (len(text), int(tensor is not None), len(table), 0, length, 0)
        self.socket.sendall(HEAD.pack(b"PRDF", kind, number, *sizes) + text + table)

    def ask(self, operation, tensor=None):
        self.send(HOST_CALL, operation, None, tensor)
        kind, _, header, tensors = self.receive()
        if kind != HOST_ANSWER:
            raise RuntimeError(json.loads(header)["message"])
        return tensors


class NearestMean:
    """Answers with the class whose mean input is nearest."""

    DESCRIPTION = {
        "id": "python/nearest-mean", "summary": __doc__.splitlines()[0], "paper": "", "presets": [],
        "scenarios": ["class-il", "task-il", "domain-il", "task-free"], "devices": ["flex"],
        "config_schema": {"properties": {"temperature": {"description": "Divides the distance.", "type": "number"}}},
        "config_default": {"temperature": 1.0}, "state_format": 1,
        "views": [{"name": "main", "needs": "nothing"}],
    }  # fmt: skip

    def __init__(self, message):
        context, config = message["context"], message["config"]
        unknown = config.keys() - self.DESCRIPTION["config_default"].keys()
        if unknown:
            raise ValueError(f"unknown hyper-parameters: {unknown}")
        self.temperature = float(config["temperature"])
        self.classes, self.width = context["classes"], 1
        for length in context["input_shape"]:
            self.width *= length
        self.sums = [[0.0] * self.width for _ in range(self.classes)]
        self.counts = [0] * self.classes

    def rows(self, values):
        if values.typecode != "f" or len(values) % self.width:
            raise ValueError(f"expected rows of {self.width} numbers")
        return (values[i : i + self.width] for i in range(0, len(values), self.width))

    def call(self, operation, message, tensors, host):
        """The header of the answer, and its tensor if it has one."""
        if operation == DECLARE:
            return {"views": self.DESCRIPTION["views"], "scalars": ["classes_seen"]}, None
        if operation == OBSERVE:
            inputs, labels = (message["current"][name] for name in ("views", "labels"))
            for row, label in zip(self.rows(tensors[inputs[0]]), tensors[labels]):
                self.counts[label] += 1
                self.sums[label] = [s + x for s, x in zip(self.sums[label], row)]
            return {"scalars": {"classes_seen": sum(n > 0 for n in self.counts)}}, None
        if operation == PREDICT:
            means = [[s / max(n, 1) for s in row] for row, n in zip(self.sums, self.counts)]
            unseen = [0.0 if n else 1e6 for n in self.counts]
            logits = array.array("f")
            for row in self.rows(tensors[message["inputs"]]):
                for mean, far in zip(means, unseen):
                    distance = sum((x - m) ** 2 for x, m in zip(row, mean)) + far
                    logits.append(-distance / self.temperature)
            shape = (len(logits) // self.classes, self.classes)
            return {"logits": 0}, (1, shape, logits.tobytes())
        if operation == RESOURCES:
            return {"bytes": {"buffers": 8 * self.classes * (self.width + 1)}}, None
        if operation == SAVE:
            state = json.dumps([self.sums, self.counts]).encode()
            host.ask(WRITE_STATE, (2, (len(state),), state))
        if operation == LOAD:
            pieces = iter(lambda: host.ask(READ_STATE)[0].tobytes(), b"")
            self.sums, self.counts = json.loads(b"".join(pieces))
        if operation > LOAD:
            raise ValueError(f"there is no operation {operation}")
        if operation in (BEGIN, END, END_OF_STREAM):
            message["seed"]  # this learner has no use for it, but it must be there
        return None, None


def main():
    host, learner = Host(), None
    _, version, hello, _ = host.receive()
    if version == VERSION and json.loads(hello).get("confine") is not None:
        return host.send(FAIL, NOT_OPENED, {"message": "a Python worker cannot confine itself"})
    host.send(HELLO, VERSION, {"pid": os.getpid()})
    while version == VERSION:
        kind, operation, header, tensors = host.receive()
        try:
            message = json.loads(header)
            if kind == DESCRIBE:
                answer = NearestMean.DESCRIPTION, None
            elif kind == CREATE:
                learner, answer = NearestMean(message), (None, None)
            else:
                answer = learner.call(operation, message, tensors, host)
            host.send(RETURN, 0, *answer)
        except Exception as error:
            host.send(FAIL, LEARNER_ERROR, {"message": f"{type(error).__name__}: {error}"})


main()
