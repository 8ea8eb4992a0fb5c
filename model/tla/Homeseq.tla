------------------------------- MODULE Homeseq -------------------------------
(***************************************************************************)
(* HOMESEQ: one unit of memory, its capabilities on any number of cores,   *)
(* and a home core that puts every operation on shared ones into an order. *)
(*                                                                         *)
(*     core k  --- up[k] (FIFO) --->  home                                 *)
(*     core k  <-- down[k] (FIFO) --  home                                 *)
(*                                                                         *)
(* The home is a core too. What it says to itself is no message: it        *)
(* happens in the same step. Each message is taken as it arrives; only     *)
(* requests wait, one a core, in the home's queue.                         *)
(*                                                                         *)
(* Left out: types and rights, several units, full channels, and the       *)
(* bounded steps of a sweep (here a core sweeps in one step).              *)
(***************************************************************************)
EXTENDS Ranges, Sequences, FiniteSets, TLC

CONSTANTS
    Cores,      \* all cores
    Home,       \* the one that keeps the order
    Nack,       \* TRUE: a core may refuse a Deliver (no slot, quota, domain gone)
    FDel,       \* TRUE: a cascade (a dying CNode) may delete what is frozen
    Most,       \* at most so many requests are outstanding at once (Cardinality(Cores): no bound)
    Bug         \* 0, or the number of a seeded mistake (see README.md)

ASSUME Home \in Cores /\ Nack \in BOOLEAN /\ FDel \in BOOLEAN /\ Most \in Nat /\ Bug \in Nat

VARIABLES
    core,       \* core[k]: what core k knows
    home,       \* what the home knows of the unit
    up, down    \* the channels between the home and each other core

vars == <<core, home, up, down>>

Far == Cores \ {Home}

-----------------------------------------------------------------------------
(* Values *)

NoReq     == [op |-> "none"]
NotFrozen == [cap |-> <<0, 0>>, init |-> FALSE]
Idle      == [op |-> "none"]

Request ==
         [op : {"send"},   cap : Range, to : Cores]
    \cup [op : {"retype"}, cap : Range, new : Range]
    \cup [op : {"revoke"}, cap : Range]

\* What the home is doing. `wait`: the cores that have not answered yet.
Active ==
         {Idle}
    \cup [op : {"alloc"},  to : Cores]
    \cup [op : {"send"},   from : Cores, to : Cores]
    \cup [op : {"retype"}, from : Cores, wait : SUBSET Cores, level : 0..2]
    \cup [op : {"mark"},   from : Cores, cap : Range, wait : SUBSET Cores, marked : SUBSET Cores]
    \cup [op : {"sweep"},  from : Cores, cap : Range, wait : SUBSET Cores]

ToCoreMsg ==
         [m : {"Deliver"}, cap : Range, excl : BOOLEAN]
    \cup [m : {"Check"},   src : Range, new : Range]
    \cup [m : {"Mark"},    cap : Range, init : BOOLEAN]
    \cup [m : {"Sweep"}]
    \cup [m : {"Done"},    ok : BOOLEAN, up : BOOLEAN]

ToHomeMsg ==
         [m : {"Req"},      req : Request]
    \cup [m : {"Gone"}]
    \cup [m : {"Ack"},      ok : BOOLEAN, empty : BOOLEAN]
    \cup [m : {"CheckR"},   level : 0..2]
    \cup [m : {"MarkAck"}]
    \cup [m : {"SweepAck"}, empty : BOOLEAN]

CoreState ==
    [ have   : SUBSET Range,        \* the capabilities held (copies on one core count once)
      excl   : SUBSET Range,        \* those with no copy or descendant elsewhere or in flight
      frozen : [cap : Range, init : BOOLEAN] \cup {NotFrozen},   \* init: we are the revoker
      pend   : Request \cup {NoReq} ]                            \* our one outstanding request

HomeState ==
    [ live    : BOOLEAN,            \* FALSE: the unit is back in the memory server
      sharers : SUBSET Cores,
      active  : Active,
      queue   : [Cores -> Request \cup {NoReq}] ]

Nowhere == [have |-> {}, excl |-> {}, frozen |-> NotFrozen, pend |-> NoReq]
Free0   == [live |-> FALSE, sharers |-> {}, active |-> Idle, queue |-> [c \in Cores |-> NoReq]]

\* The whole state as one value. Handlers below take one and give the next, so
\* that the home's talk with its own core can happen within a step.
Now == [core |-> core, home |-> home, up |-> up, down |-> down]

Become(t) ==
    \E u \in {t} : core' = u.core /\ home' = u.home /\ up' = u.up /\ down' = u.down

-----------------------------------------------------------------------------
(* At a core, from the home: one operator a row of the protocol's table. Each   *)
(* takes what the core knows (p) and the message, and gives what the core   *)
(* knows then (p) and its answer (a sequence of at most one message).       *)

\* What a sweep takes: copies and descendants; the revoker keeps its own.
Doomed(p) ==
    { d \in p.have : Inside(d, p.frozen.cap) /\ ~(p.frozen.init /\ d = p.frozen.cap) }

Drop(p, caps) == [p EXCEPT !.have = @ \ caps, !.excl = @ \ caps]

CoreDeliver(p, m, accept) ==
    LET q == IF accept
             THEN [p EXCEPT !.have = @ \cup {m.cap},
                            !.excl = IF m.excl THEN @ \cup {m.cap} ELSE @]
             ELSE p
    IN [p |-> q, answer |-> <<[m |-> "Ack", ok |-> accept, empty |-> q.have = {}]>>]

\* 0: conflict; 1: fine, but something is held inside src; 2: nothing is.
CoreCheck(p, m) ==
    LET inside == { h \in p.have : IF Bug = 8 THEN Below(h, m.src) ELSE Inside(h, m.src) }
        level  == CASE ~Ok(p.have, m.src, m.new) -> 0
                    [] inside # {}               -> 1
                    [] OTHER                     -> 2
    IN [p |-> p, answer |-> <<[m |-> "CheckR", level |-> level]>>]

CoreMark(p, m) ==
    [p |-> [p EXCEPT !.frozen = [cap |-> m.cap, init |-> m.init]],
     answer |-> <<[m |-> "MarkAck"]>>]

CoreSweep(p) ==
    LET q == [Drop(p, Doomed(p)) EXCEPT !.frozen = NotFrozen]
    IN [p |-> q, answer |-> <<[m |-> "SweepAck", empty |-> q.have = {}]>>]

\* Done(send), or any request that failed or was cancelled: the domain learns.
CoreDoneOther(p) == [p |-> [p EXCEPT !.pend = NoReq], answer |-> <<>>]

CoreDoneRetype(p, m) ==
    LET r     == p.pend
        scope == IF m.up THEN r.cap ELSE r.new
        made  == IF Ok(p.have, r.cap, r.new) \/ Bug = 6 THEN {r.new} ELSE {}
    IN [p |-> [p EXCEPT !.have = @ \cup made,
                        !.excl = @ \cup { h \in p.have : Inside(h, scope) } \cup made,
                        !.pend = NoReq],
        answer |-> <<>>]

CoreDoneRevoke(p) ==
    [p |-> [p EXCEPT !.excl = @ \cup {p.pend.cap}, !.pend = NoReq], answer |-> <<>>]

AtCore(p, m, accept) ==
    CASE m.m = "Deliver" -> CoreDeliver(p, m, accept)
      [] m.m = "Check"   -> CoreCheck(p, m)
      [] m.m = "Mark"    -> CoreMark(p, m)
      [] m.m = "Sweep"   -> CoreSweep(p)
      [] m.m = "Done" /\ (~m.ok \/ p.pend.op = "send") -> CoreDoneOther(p)
      [] m.m = "Done" /\ m.ok /\ p.pend.op = "retype"  -> CoreDoneRetype(p, m)
      [] m.m = "Done" /\ m.ok /\ p.pend.op = "revoke"  -> CoreDoneRevoke(p)

-----------------------------------------------------------------------------
(* Sending. `accept` is what the home's own core says to a Deliver, should  *)
(* one come up within the step.                                             *)

RECURSIVE AtHome(_, _, _, _)

\* From core k to the home.
ToHome(t, k, m, accept) ==
    IF k = Home THEN AtHome(t, k, m, accept)
                ELSE [t EXCEPT !.up[k] = Append(@, m)]

\* Core k takes m, and answers.
Handle(t, k, m, accept) ==
    LET r == AtCore(t.core[k], m, accept)
        u == [t EXCEPT !.core[k] = r.p]
    IN IF r.answer = <<>> THEN u ELSE ToHome(u, k, Head(r.answer), accept)

\* From the home to core k.
ToCore(t, k, m, accept) ==
    IF k = Home THEN Handle(t, k, m, accept)
                ELSE [t EXCEPT !.down[k] = Append(@, m)]

\* From the home to all cores of the domain of msgs; its own comes last.
ToEach(t, msgs, accept) ==
    LET u == [t EXCEPT !.down = [k \in Far |-> IF k \in DOMAIN msgs
                                               THEN Append(@[k], msgs[k]) ELSE @[k]]]
    IN IF Home \in DOMAIN msgs THEN Handle(u, Home, msgs[Home], accept) ELSE u

Done(ok, above) == [m |-> "Done", ok |-> ok, up |-> above]

-----------------------------------------------------------------------------
(* At the home: one operator a row of the protocol's table.                     *)

HomeReq(t, c, m) == [t EXCEPT !.home.queue[c] = m.req]

Delivering(t, c) == t.home.active.op \in {"alloc", "send"} /\ t.home.active.to = c

HomeGone(t, c) ==
    IF Delivering(t, c) /\ Bug # 5 THEN t
                                   ELSE [t EXCEPT !.home.sharers = @ \ {c}]

\* The bit of a core that says that it is empty.
Unshare(t, c, empty) == IF empty THEN [t EXCEPT !.home.sharers = @ \ {c}] ELSE t

BeginSend(t, c, r, accept) ==
    ToCore([t EXCEPT !.home.sharers = @ \cup {r.to},
                     !.home.active  = [op |-> "send", from |-> c, to |-> r.to]],
           r.to, [m |-> "Deliver", cap |-> r.cap, excl |-> FALSE], accept)

HomeAck(t, c, m, accept) ==
    LET a == t.home.active
        u == [Unshare(t, c, m.empty /\ Bug # 4) EXCEPT !.home.active = Idle]
    IN IF a.op = "alloc" THEN u ELSE ToCore(u, a.from, Done(m.ok, FALSE), accept)

EndRetype(t, c, level, accept) ==
    ToCore([t EXCEPT !.home.active = Idle], c, Done(level > 0, level = 2), accept)

BeginRetype(t, c, r, accept) ==
    LET others == t.home.sharers \ {c}
        a == [op |-> "retype", from |-> c, wait |-> others, level |-> 2]
        check == [m |-> "Check", src |-> r.cap, new |-> r.new]
    IN IF others = {} THEN EndRetype(t, c, 2, accept)
       ELSE ToEach([t EXCEPT !.home.active = a], [k \in others |-> check], accept)

HomeCheckR(t, c, m, accept) ==
    LET a     == t.home.active
        level == IF m.level < a.level THEN m.level ELSE a.level
        wait  == a.wait \ {c}
    IN IF wait = {} THEN EndRetype(t, a.from, level, accept)
       ELSE [t EXCEPT !.home.active.wait = wait, !.home.active.level = level]

BeginRevoke(t, c, r, accept) ==
    LET s == t.home.sharers
        a == [op |-> "mark", from |-> c, cap |-> r.cap, wait |-> s, marked |-> s]
        mark == [k \in s |-> [m |-> "Mark", cap |-> r.cap, init |-> k = c]]
    IN ToEach([t EXCEPT !.home.active = a], mark, accept)

\* Every waiting request on a dying capability is answered: it failed.
Cancel(t, accept) ==
    LET a == t.home.active
        dead == { k \in Cores : /\ t.home.queue[k].op # "none"
                                /\ Inside(t.home.queue[k].cap, a.cap)
                                /\ ~(k = a.from /\ t.home.queue[k].cap = a.cap) }
        u == [t EXCEPT !.home.queue = [k \in Cores |-> IF k \in dead THEN NoReq ELSE @[k]]]
    IN ToEach(u, [k \in dead |-> Done(FALSE, FALSE)], accept)

\* The atomic moment of a revoke: from here on all that dies is dead.
Commit(t, accept) ==
    LET a == t.home.active
        u == IF Bug \in {1, 7} THEN t ELSE Cancel(t, accept)
        swept == IF Bug = 2 THEN t.home.sharers ELSE a.marked
        b == [op |-> "sweep", from |-> a.from, cap |-> a.cap, wait |-> swept]
    IN ToEach([u EXCEPT !.home.active = b], [k \in swept |-> [m |-> "Sweep"]], accept)

HomeMarkAck(t, c, accept) ==
    LET u == [t EXCEPT !.home.active.wait = @ \ {c}]
        v == IF Bug = 7 /\ t.home.active.wait = t.home.active.marked
             THEN Cancel(u, accept) ELSE u
    IN IF v.home.active.wait = {} THEN Commit(v, accept) ELSE v

HomeSweepAck(t, c, m, accept) ==
    LET u == [Unshare(t, c, m.empty) EXCEPT !.home.active.wait = @ \ {c}]
    IN IF u.home.active.wait # {} THEN u
       ELSE ToCore([u EXCEPT !.home.active = Idle], u.home.active.from, Done(TRUE, FALSE), accept)

AtHome(t, c, m, accept) ==
    CASE m.m = "Req"      -> HomeReq(t, c, m)
      [] m.m = "Gone"     -> HomeGone(t, c)
      [] m.m = "Ack"      -> HomeAck(t, c, m, accept)
      [] m.m = "CheckR"   -> HomeCheckR(t, c, m, accept)
      [] m.m = "MarkAck"  -> HomeMarkAck(t, c, accept)
      [] m.m = "SweepAck" -> HomeSweepAck(t, c, m, accept)

-----------------------------------------------------------------------------
(* Operations at core k: one action a row of the protocol's table.              *)

Has(k)     == core[k].have
Frozen(k, c) == core[k].frozen # NotFrozen /\ Inside(c, core[k].frozen.cap) /\ Bug # 9
Usable(k, c) == c \in Has(k) /\ ~Frozen(k, c)
Excl(k, c) == c \in core[k].excl
NoPend(k)  == core[k].pend = NoReq
Pinned(k, c) == ~NoPend(k) /\ core[k].pend.cap = c

\* The request goes out, and pins its capability until it is answered.
Ask(k, r, p) ==
    /\ Cardinality({ j \in Cores : ~NoPend(j) }) < Most
    /\ Become(ToHome([Now EXCEPT !.core[k] = [p EXCEPT !.pend = r]], k,
                     [m |-> "Req", req |-> r], TRUE))

RetypeLocal(k, c, d) ==
    /\ Usable(k, c) /\ Excl(k, c) /\ Below(d, c) /\ Ok(Has(k), c, d)
    /\ core' = [core EXCEPT ![k].have = @ \cup {d}, ![k].excl = @ \cup {d}]
    /\ UNCHANGED <<home, up, down>>

RevokeLocal(k, c) ==
    /\ Usable(k, c) /\ Excl(k, c)
    /\ core' = [core EXCEPT ![k] = Drop(@, { d \in @.have : Below(d, c) })]
    /\ UNCHANGED <<home, up, down>>

Delete(k, c) ==
    /\ c \in Has(k) /\ ~Pinned(k, c) /\ ~(Frozen(k, c) /\ ~FDel)
    /\ LET t == [Now EXCEPT !.core[k] = Drop(@, {c})]
       IN Become(IF t.core[k].have = {} THEN ToHome(t, k, [m |-> "Gone"], TRUE) ELSE t)

Send(k, c, j) ==
    /\ Usable(k, c) /\ NoPend(k) /\ j # k
    /\ LET shared == { h \in Has(k) : IF Bug = 3 THEN h = c ELSE Inside(c, h) }
       IN Ask(k, [op |-> "send", cap |-> c, to |-> j],
              [core[k] EXCEPT !.excl = @ \ shared])

RetypeFar(k, c, d) ==
    /\ Usable(k, c) /\ ~Excl(k, c) /\ NoPend(k) /\ Below(d, c) /\ Ok(Has(k), c, d)
    /\ Ask(k, [op |-> "retype", cap |-> c, new |-> d], core[k])

RevokeFar(k, c) ==
    /\ Usable(k, c) /\ ~Excl(k, c) /\ NoPend(k)
    /\ Ask(k, [op |-> "revoke", cap |-> c], core[k])

-----------------------------------------------------------------------------
(* Steps of the home that no message causes.                                *)

\* What may be said to a Deliver that is taken in this step (`now`).
Accepts(now) == IF Nack /\ now THEN BOOLEAN ELSE {TRUE}

Alloc(j) ==
    /\ ~home.live
    /\ \E accept \in Accepts(j = Home) :
        Become(ToCore([Now EXCEPT !.home.live = TRUE, !.home.sharers = {j},
                                  !.home.active = [op |-> "alloc", to |-> j]],
                      j, [m |-> "Deliver", cap |-> Root, excl |-> TRUE], accept))

\* Idle: the next request. Round robin is left to the fairness below.
Start(c) ==
    /\ home.active = Idle /\ home.queue[c] # NoReq
    /\ LET r == home.queue[c]
           t == [Now EXCEPT !.home.queue[c] = NoReq]
       IN \/ r.op = "send"   /\ \E accept \in Accepts(r.to = Home) : Become(BeginSend(t, c, r, accept))
          \/ r.op = "retype" /\ Become(BeginRetype(t, c, r, TRUE))
          \/ r.op = "revoke" /\ Become(BeginRevoke(t, c, r, TRUE))

MayFree ==
    /\ home.live /\ home.sharers = {} /\ home.active = Idle
    /\ \A c \in Cores : home.queue[c] = NoReq

Free ==
    /\ MayFree
    /\ home' = [home EXCEPT !.live = FALSE]
    /\ UNCHANGED <<core, up, down>>

-----------------------------------------------------------------------------
(* Messages arrive.                                                         *)

IsNext(channel, kind) == channel # <<>> /\ Head(channel).m = kind

CoreTakes(k, accept) ==
    Become(Handle([Now EXCEPT !.down[k] = Tail(@)], k, Head(down[k]), accept))

\* No answer of a core makes the home start a Deliver: nothing is accepted within the step.
HomeTakes(c) ==
    Become(AtHome([Now EXCEPT !.up[c] = Tail(@)], c, Head(up[c]), TRUE))

AtCoreDeliver(k) == IsNext(down[k], "Deliver") /\ \E accept \in Accepts(TRUE) : CoreTakes(k, accept)
AtCoreCheck(k)   == IsNext(down[k], "Check")   /\ CoreTakes(k, TRUE)
AtCoreMark(k)    == IsNext(down[k], "Mark")    /\ CoreTakes(k, TRUE)
AtCoreSweep(k)   == IsNext(down[k], "Sweep")   /\ CoreTakes(k, TRUE)
AtCoreDone(k)    == IsNext(down[k], "Done")    /\ CoreTakes(k, TRUE)

AtHomeReq(c)      == IsNext(up[c], "Req")      /\ HomeTakes(c)
AtHomeGone(c)     == IsNext(up[c], "Gone")     /\ HomeTakes(c)
AtHomeAck(c)      == IsNext(up[c], "Ack")      /\ HomeTakes(c)
AtHomeCheckR(c)   == IsNext(up[c], "CheckR")   /\ HomeTakes(c)
AtHomeMarkAck(c)  == IsNext(up[c], "MarkAck")  /\ HomeTakes(c)
AtHomeSweepAck(c) == IsNext(up[c], "SweepAck") /\ HomeTakes(c)

FromHome(k) == AtCoreDeliver(k) \/ AtCoreCheck(k) \/ AtCoreMark(k) \/ AtCoreSweep(k) \/ AtCoreDone(k)

FromCore(c) == \/ AtHomeReq(c) \/ AtHomeGone(c) \/ AtHomeAck(c)
               \/ AtHomeCheckR(c) \/ AtHomeMarkAck(c) \/ AtHomeSweepAck(c)

-----------------------------------------------------------------------------

Init ==
    /\ core = [k \in Cores |-> Nowhere]
    /\ home = Free0
    /\ up   = [k \in Far |-> <<>>]
    /\ down = [k \in Far |-> <<>>]

\* What domains do, when they like.
User ==
    \/ \E k \in Cores : Alloc(k)
    \/ \E k \in Cores, c \in Range :
        \/ RevokeLocal(k, c)
        \/ Delete(k, c)
        \/ RevokeFar(k, c)
        \/ \E j \in Cores : Send(k, c, j)
        \/ \E d \in Range : RetypeLocal(k, c, d)
        \/ \E d \in Range : RetypeFar(k, c, d)

\* What the monitors do by themselves, and must.
Internal ==
    \/ \E c \in Cores : Start(c)
    \/ Free
    \/ \E k \in Far : FromHome(k)
    \/ \E k \in Far : FromCore(k)

Next == User \/ Internal

Safety == Init /\ [][Next]_vars

\* Messages arrive, and what can be reclaimed is. Domains owe nobody a step.
Delivery ==
    /\ WF_vars(Free)
    /\ \A k \in Far : WF_vars(FromHome(k)) /\ WF_vars(FromCore(k))

\* Round robin: no core is passed over for ever.
Fair   == Safety /\ Delivery /\ \A c \in Cores : SF_vars(Start(c))

\* The home takes any request: not enough (see Starved.cfg).
Unfair == Safety /\ Delivery /\ WF_vars(\E c \in Cores : Start(c))

-----------------------------------------------------------------------------
(* Invariants                                                               *)

TypeOK ==
    /\ DOMAIN core = Cores /\ \A k \in Cores : core[k] \in CoreState
    /\ \A k \in Cores : core[k].excl \subseteq core[k].have
    /\ home \in HomeState
    /\ DOMAIN up = Far /\ \A k \in Far : \A i \in DOMAIN up[k] : up[k][i] \in ToHomeMsg
    /\ DOMAIN down = Far /\ \A k \in Far : \A i \in DOMAIN down[k] : down[k][i] \in ToCoreMsg

\* The messages of kind m on a channel, as the set of their places.
Places(channel, kind) == { i \in DOMAIN channel : channel[i].m = kind }

Flying(k) == { down[k][i].cap : i \in Places(down[k], "Deliver") }

\* I1: any two capabilities, held or in flight, are disjoint or nested.
I1 ==
    LET all == UNION { Has(k) : k \in Cores } \cup UNION { Flying(k) : k \in Far }
    IN \A c, d \in all : Disjoint(c, d) \/ Inside(c, d) \/ Inside(d, c)

\* I3: excl is true, also of what is in flight and of sends that wait.
I3 ==
    \A k \in Cores : \A c \in core[k].excl :
        /\ \A j \in Cores \ {k} : \A d \in Has(j) : ~Inside(d, c)
        /\ \A j \in Far : \A d \in Flying(j) : ~Inside(d, c)
        /\ \A j \in Cores : core[j].pend.op = "send" => ~Inside(core[j].pend.cap, c)

\* A dying capability of the revoke that has committed.
Dying(k, c) ==
    /\ home.active.op = "sweep"
    /\ Inside(c, home.active.cap)
    /\ ~(k = home.active.from /\ c = home.active.cap)

\* I4: after the commit all that dies is frozen and will be swept,
\* and nothing that dies is in flight, waiting, or on its way to the queue.
I4 ==
    home.active.op = "sweep" =>
        /\ \A k \in Cores : \A c \in Has(k) : Dying(k, c) =>
            /\ core[k].frozen = [cap |-> home.active.cap, init |-> k = home.active.from]
            /\ k \in Far /\ Places(down[k], "Sweep") # {}
        /\ \A k \in Far : \A c \in Flying(k) : ~Inside(c, home.active.cap)
        /\ \A k \in Cores : home.queue[k] # NoReq => ~Dying(k, home.queue[k].cap)
        /\ \A k \in Far : \A i \in Places(up[k], "Req") : ~Dying(k, up[k][i].req.cap)

\* I5: sharers covers holders and targets of deliveries.
I5 ==
    /\ \A k \in Cores : Has(k) # {} => k \in home.sharers
    /\ \A k \in Far : Flying(k) # {} => k \in home.sharers

\* The other way round, or bits leak: who has nothing, and nothing under way, is no sharer.
I5exact ==
    \A k \in Cores :
        ( /\ Has(k) = {} /\ home.active = Idle
          /\ k \in Far => up[k] = <<>> /\ down[k] = <<>> )
        => k \notin home.sharers

\* I6: nothing is left of a unit that is free, nor of one that is about to be.
I6 ==
    ~home.live \/ MayFree =>
        /\ home = [Free0 EXCEPT !.live = home.live]
        /\ \A k \in Cores : core[k] = Nowhere
        /\ \A k \in Far : up[k] = <<>> /\ down[k] = <<>>

\* I7: a pinned capability stays until the request is answered.
I7 == \A k \in Cores : ~NoPend(k) => core[k].pend.cap \in Has(k)

\* Each outstanding request is in exactly one place: on its way, in the queue,
\* in work, or answered.
OnePlace ==
    \A k \in Cores :
        LET Count(b) == IF b THEN 1 ELSE 0
            n == Count(home.queue[k] # NoReq)
               + Count(home.active.op \in {"send", "retype", "mark", "sweep"} /\ home.active.from = k)
               + (IF k \in Far THEN Cardinality(Places(up[k], "Req"))
                                  + Cardinality(Places(down[k], "Done")) ELSE 0)
        IN n = Count(~NoPend(k))

\* The channels can be built: the protocol says three messages are enough.
Bounded == \A k \in Far : Len(up[k]) <= 3 /\ Len(down[k]) <= 3

\* No deadlock: where no message is under way and no request can be started,
\* there is nothing that waits for one. (TLC's own check is too weak here, as
\* a domain can nearly always delete something.)
Quiet == /\ \A k \in Far : up[k] = <<>> /\ down[k] = <<>>
         /\ ~(home.active = Idle /\ \E c \in Cores : home.queue[c] # NoReq)

NotStuck ==
    Quiet => /\ home.active = Idle
             /\ \A k \in Cores : NoPend(k) /\ core[k].frozen = NotFrozen

-----------------------------------------------------------------------------
(* R: the refinement. A revoke takes place at its commit: what is to be     *)
(* swept is gone already.                                                   *)

Abs == { a \in Cores \X Range : a[2] \in Has(a[1]) /\ ~Dying(a[1], a[2]) }

Global == INSTANCE GlobalCaps WITH caps <- Abs

R == Global!Spec

\* R alone lets a capability vanish, as if somebody deleted it. So: nothing
\* comes or goes but by an operation that was asked for.
Came(k, c) ==
    \/ c = Root /\ Abs = {}
    \/ \E i \in Cores : core[i].pend = [op |-> "send", cap |-> c, to |-> k]
    \/ core[k].pend.op = "retype" /\ core[k].pend.new = c
    \/ \E b \in Has(k) : RetypeLocal(k, b, c)

Went(k, c) ==
    \/ Delete(k, c)
    \/ \E i \in Cores : /\ core[i].pend.op = "revoke"
                        /\ <<k, c>> \in Global!Victims(i, core[i].pend.cap)
                        /\ Abs' = Abs \ Global!Victims(i, core[i].pend.cap)
    \/ \E b \in Has(k) : Below(c, b) /\ RevokeLocal(k, b)

Asked ==
    [][ /\ \A a \in Abs' \ Abs : Came(a[1], a[2])
        /\ \A a \in Abs \ Abs' : Went(a[1], a[2]) ]_vars

-----------------------------------------------------------------------------
(* Liveness                                                                 *)

\* L1: the monitors do not go on for ever unless domains ask for more.
L1 == []<><<Internal>>_vars => []<><<User>>_vars

\* L2: every request is answered.
L2 == \A k \in Cores : ~NoPend(k) ~> NoPend(k)

\* L3: a unit of which nothing is left is reclaimed (or its root just arrives).
L3 == (\A k \in Cores : Has(k) = {}) ~> (~home.live \/ \E k \in Cores : Has(k) # {})

Symmetry == Permutations(Far)
=============================================================================
