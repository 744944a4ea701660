"""Systems with known answers: flows and maps, their equations and their exponents.

A system is a class; its parameters are fields. `ALL` holds the classes, `FLOWS` and
`MAPS` the two kinds. Systems with delays are left out: `DELAYED` lists them.
"""

from typing import Any

from dynax.zoo._base import (
    Flow as Flow,
    Map as Map,
    System as System,
    point as point,
)
from dynax.zoo.annotate import (
    STEPS as STEPS,
    Annotation as Annotation,
    annotate as annotate,
    annotations as annotations,
    as_json as as_json,
    judged as judged,
    read as read,
)
from dynax.zoo.biology import (
    CaTwoPlus as CaTwoPlus,
    CaTwoPlusQuasiperiodic as CaTwoPlusQuasiperiodic,
    CellCycle as CellCycle,
    CircadianRhythm as CircadianRhythm,
    ExcitableCell as ExcitableCell,
    ItikBanksTumor as ItikBanksTumor,
)
from dynax.zoo.chemistry import (
    BelousovZhabotinsky as BelousovZhabotinsky,
    ForcedBrusselator as ForcedBrusselator,
    GlycolyticOscillation as GlycolyticOscillation,
    HyperRossler as HyperRossler,
    IsothermalChemical as IsothermalChemical,
    KawczynskiStrizhak as KawczynskiStrizhak,
    Rossler as Rossler,
)
from dynax.zoo.circuits import (
    AnishchenkoAstakhov as AnishchenkoAstakhov,
    CellularNeuralNetwork as CellularNeuralNetwork,
    Chen as Chen,
    Chua as Chua,
    Colpitts as Colpitts,
    Dadras as Dadras,
    GenesioTesi as GenesioTesi,
    JerkCircuit as JerkCircuit,
    Laser as Laser,
    MultiChua as MultiChua,
    SanUmSrisuchinwong as SanUmSrisuchinwong,
    YuWang as YuWang,
    YuWang2 as YuWang2,
    ZhouChen as ZhouChen,
)
from dynax.zoo.climate import (
    AtmosphericRegime as AtmosphericRegime,
    Hadley as Hadley,
    Lorenz as Lorenz,
    Lorenz84 as Lorenz84,
    Lorenz96 as Lorenz96,
    LorenzBounded as LorenzBounded,
    LorenzCoupled as LorenzCoupled,
    LorenzStenflo as LorenzStenflo,
    RayleighBenard as RayleighBenard,
    Rucklidge as Rucklidge,
    ShimizuMorioka as ShimizuMorioka,
    VallisElNino as VallisElNino,
)
from dynax.zoo.ecology import (
    Arneodo as Arneodo,
    Blasius as Blasius,
    Bouali as Bouali,
    Bouali2 as Bouali2,
    CoevolvingPredatorPrey as CoevolvingPredatorPrey,
    Coullet as Coullet,
    Finance as Finance,
    HastingsPowell as HastingsPowell,
    MacArthur as MacArthur,
    SaltonSea as SaltonSea,
    TurchinHanski as TurchinHanski,
)
from dynax.zoo.elegant import (
    Halvorsen as Halvorsen,
    SprottJerk as SprottJerk,
    SprottMore as SprottMore,
    SprottTorus as SprottTorus,
    Thomas as Thomas,
    ThomasLabyrinth as ThomasLabyrinth,
)
from dynax.zoo.fluids import (
    ArnoldBeltramiChildress as ArnoldBeltramiChildress,
    BickleyJet as BickleyJet,
    BlinkingRotlet as BlinkingRotlet,
    BlinkingVortex as BlinkingVortex,
    DoubleGyre as DoubleGyre,
    FluidTrampoline as FluidTrampoline,
    InteriorSquirmer as InteriorSquirmer,
    LidDrivenCavityFlow as LidDrivenCavityFlow,
    MooreSpiegel as MooreSpiegel,
    OscillatingFlow as OscillatingFlow,
    RikitakeDynamo as RikitakeDynamo,
    WindmiReduced as WindmiReduced,
)
from dynax.zoo.hyper import (
    HyperBao as HyperBao,
    HyperCai as HyperCai,
    HyperJha as HyperJha,
    HyperLorenz as HyperLorenz,
    HyperLu as HyperLu,
    HyperPang as HyperPang,
    HyperQi as HyperQi,
    HyperWang as HyperWang,
    HyperXu as HyperXu,
    HyperYan as HyperYan,
    HyperYangChen as HyperYangChen,
    Qi as Qi,
)
from dynax.zoo.maps import (
    Baker as Baker,
    Bogdanov as Bogdanov,
    Chebyshev as Chebyshev,
    Chirikov as Chirikov,
    Circle as Circle,
    DuffingMap as DuffingMap,
    Gauss as Gauss,
    Henon as Henon,
    Ikeda as Ikeda,
    KaplanYorke as KaplanYorke,
    Logistic as Logistic,
    MaynardSmith as MaynardSmith,
    Ricker as Ricker,
    Tent as Tent,
    Tinkerbell as Tinkerbell,
)
from dynax.zoo.mechanics import (
    ArnoldWeb as ArnoldWeb,
    ChenLee as ChenLee,
    DoublePendulum as DoublePendulum,
    Duffing as Duffing,
    ForcedVanDerPol as ForcedVanDerPol,
    HenonHeiles as HenonHeiles,
    NewtonLiepnik as NewtonLiepnik,
    NoseHoover as NoseHoover,
    NuclearQuadrupole as NuclearQuadrupole,
    StickSlipOscillator as StickSlipOscillator,
    SwingingAtwood as SwingingAtwood,
    Torus as Torus,
)
from dynax.zoo.neurons import (
    BeerRNN as BeerRNN,
    ForcedFitzHughNagumo as ForcedFitzHughNagumo,
    HindmarshRose as HindmarshRose,
    Hopfield as Hopfield,
)
from dynax.zoo.patterns import (
    Bedhead as Bedhead,
    DeJong as DeJong,
    Gingerbreadman as Gingerbreadman,
    GumowskiMira as GumowskiMira,
    Hopalong as Hopalong,
    Pickover as Pickover,
    Svensson as Svensson,
)
from dynax.zoo.scrolls import (
    Aizawa as Aizawa,
    BurkeShaw as BurkeShaw,
    DequanLi as DequanLi,
    GuckenheimerHolmes as GuckenheimerHolmes,
    LiuChen as LiuChen,
    LuChen as LuChen,
    LuChenCheng as LuChenCheng,
    PanXuZhou as PanXuZhou,
    PehlivanWei as PehlivanWei,
    QiChen as QiChen,
    RabinovichFabrikant as RabinovichFabrikant,
    Sakarya as Sakarya,
    Tsucs2 as Tsucs2,
    WangSun as WangSun,
)
from dynax.zoo.sprott import (
    SprottA as SprottA,
    SprottB as SprottB,
    SprottC as SprottC,
    SprottD as SprottD,
    SprottE as SprottE,
    SprottF as SprottF,
    SprottG as SprottG,
    SprottH as SprottH,
    SprottI as SprottI,
    SprottJ as SprottJ,
    SprottK as SprottK,
    SprottL as SprottL,
    SprottM as SprottM,
    SprottN as SprottN,
    SprottO as SprottO,
    SprottP as SprottP,
    SprottQ as SprottQ,
    SprottR as SprottR,
    SprottS as SprottS,
)


_CLASSES = [v for v in list(vars().values()) if isinstance(v, type)]
FLOWS = tuple(c for c in _CLASSES if issubclass(c, Flow) and c is not Flow)
MAPS = tuple(c for c in _CLASSES if issubclass(c, Map) and c is not Map)
ALL = FLOWS + MAPS
DELAYED = (
    "IkedaDelay",
    "MackeyGlass",
    "PiecewiseCircuit",
    "ScrollDelay",
    "SprottDelay",
    "VossDelay",
)


def __getattr__(name: str) -> Any:
    if name in DELAYED:
        raise AttributeError(
            f"zoo: given {name}, whose rate depends on an earlier state; accepted are "
            "flows and maps, those in zoo.ALL."
        )
    raise AttributeError(f"module 'dynax.zoo' has no attribute {name!r}")
