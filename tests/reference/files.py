"""Headers and rows of reference files, as the tests write them."""

SITES = "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry"
METERS = "meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to"
MULTIPLIERS = "meter_id,valid_from,multiplier"
EXCHANGES = "meter_id,at,final_index,initial_index,modulus"
COEFFICIENTS = "carrier,kind,scope,month,value,unit,document,published_on,approver"
TARGETS = "entity,indicator,period,value,unit,levels"
ACTIVITY = "entity,month,indicator,value,unit,provisional"

STEEL = (
    "330502-0001,湖州钢厂,Huzhou steel works,ENT-1,湖钢,Huzhou Steel,PARK-1,南太湖园,South Taihu,330502,C31"
)
PAPER = (
    "330502-0002,湖州纸厂,Huzhou paper mill,ENT-2,湖纸,Huzhou Paper,PARK-1,南太湖园,South Taihu,330502,C22"
)
FEED = (
    "330502-0001/E01,electricity,register,kWh,1,1000000,900,true,"
    "2024-01-01T00:00:00+08:00,2024-12-31T00:00:00+08:00"
)
HEAT = "330502-0002/E01,heat,interval,GJ,1.5,,3600,false,2024-01-01T00:00:00Z,"
STEEL_OF_HUZHOU = "electricity,electricity_average,C31@330500,2024-03,0.49,tCO2/MWh,内部,2024-04-02,me"
